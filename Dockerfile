# The page in a container: OpenVINO and PyTorch, the shipped weights inside, no network at run time.
#
#   docker build -t fracture-detector --build-arg TORCH_INDEX=<PyTorch's CPU wheel index> .
#   docker run --rm -p 127.0.0.1:7860:7860 --read-only --tmpfs /tmp fracture-detector
#
# Without TORCH_INDEX torch comes from pip's usual index, which on Linux is the CUDA build, several GB
# larger. `.ci/container.py` says how large.

FROM python:3.11-slim-bookworm AS build

ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN python3 -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /build
COPY constraints.txt ./

# torch and torchvision together, from one index: mixed builds break torchvision's import.
RUN pins="$(grep -E '^(torch|torchvision)==' constraints.txt)" \
 && if [ -n "$TORCH_INDEX" ]; then pip install --no-deps --index-url "$TORCH_INDEX" $pins; \
    else pip install -c constraints.txt $pins; fi

# The packages of the library, the page and the faster runtime, as pyproject.toml names them. What a
# page has no use for goes: Triton (which compiles networks for a GPU, most of a GB), OpenVINO's
# telemetry, headers, static libraries, the packages' own tests, and pip.
COPY pyproject.toml ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = p['optional-dependencies']; \
print('\n'.join(p['dependencies'] + extras['demo'] + extras['fast']))" > requirements.txt \
 && pip install -c constraints.txt -r requirements.txt \
 && pip uninstall -y triton openvino-telemetry \
 && cd /venv/lib/python3*/site-packages \
 && rm -rf torch/include torch/share nvidia/*/include nvidia/*/*/include openvino/include \
 && find . -name '*.a' -delete \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && pip uninstall -y pip


FROM python:3.11-slim-bookworm

# Everything that is written at run time goes below /tmp, so the root file system can be read-only.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    GRADIO_TEMP_DIR=/tmp/gradio \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_OFFLINE=1

COPY --from=build /venv /venv
WORKDIR /app
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
