# The page in a container: the shipped weights inside, no network at run time.
#
#   docker build -t fracture-detector .
#   docker run --rm -p 127.0.0.1:7860:7860 --read-only --tmpfs /tmp fracture-detector
#
# The page runs in OpenVINO, from a graph that is built here; PyTorch, most of an installation's
# size, builds the graph and stays behind. The target `torch` keeps it: for a graphics card, for
# weights of your own, for the other methods of the heatmap.
#
#   docker build --target torch -t fracture-detector:torch .
#
# TORCH_INDEX=<PyTorch's CPU wheel index> makes the build, and that target, several GB smaller: pip's
# usual index has the CUDA build. `.ci/container.py` says how large the page's image is.

FROM python:3.11-slim-bookworm AS packages

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /build
COPY constraints.txt pyproject.toml ./

# The packages of the library, the page and the runtime, as pyproject.toml names them, without
# PyTorch and what only runs in it. What a page has no use for goes: OpenVINO's telemetry, headers,
# static libraries, the packages' own tests.
RUN python -c "import re, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
e = p['optional-dependencies']; lines = p['dependencies'] + e['demo'] + e['fast']; \
heavy = [n for n in lines if re.match(r'torch|timm|grad-cam', n)]; \
open('heavy.txt', 'w').write('\n'.join(heavy)); \
open('light.txt', 'w').write('\n'.join(n for n in lines if n not in heavy))" \
 && pip install -c constraints.txt -r light.txt \
 && pip uninstall -y openvino-telemetry \
 && cd /venv/lib/python3*/site-packages \
 && rm -rf openvino/include \
 && find . -name '*.a' -delete \
 && find . -type d -name tests -prune -exec rm -rf {} +


# All packages, and the network's graph.
FROM packages AS complete

ARG TORCH_INDEX=""
# torch and torchvision together, from one index: mixed builds break torchvision's import. Triton
# compiles networks for a GPU, which nothing here does.
RUN pins="$(grep -E '^(torch|torchvision)==' constraints.txt)" \
 && if [ -n "$TORCH_INDEX" ]; then pip install --no-deps --index-url "$TORCH_INDEX" $pins; fi \
 && pip install -c constraints.txt -r heavy.txt \
 && pip uninstall -y triton \
 && cd /venv/lib/python3*/site-packages \
 && rm -rf torch/include torch/share nvidia/*/include nvidia/*/*/include
COPY detector detector
COPY weights weights
RUN HF_ASSETS_CACHE=/graph python -c "from detector import FractureDetector as F; \
F.from_pretrained('weights', engine='openvino')" \
 && test -n "$(find /graph -name '*.graph')"


FROM python:3.11-slim-bookworm AS page

# The scripts that the page's languages and file names are written in, for its PDF.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends fonts-noto-core fonts-wqy-microhei \
 && rm -rf /var/lib/apt/lists/*

# Everything that is written at run time goes below /tmp, so the root file system can be read-only.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    HF_ASSETS_CACHE=/graph \
    MPLCONFIGDIR=/tmp/matplotlib \
    GRADIO_TEMP_DIR=/tmp/gradio \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_OFFLINE=1

WORKDIR /app
COPY --from=complete /graph /graph
COPY LICENSE main.py ./
COPY detector detector
COPY demo demo
COPY weights weights

# No name is looked up: a number works in a base image with or without that user.
USER 10001:10001
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/', timeout=4)"]
CMD ["python", "-m", "demo", "--host", "0.0.0.0", "--port", "7860"]


FROM page AS torch
COPY --from=complete /venv /venv


FROM page
COPY --from=packages /venv /venv
