"""The clinician's page: `python -m demo` opens it. No model code lives here."""
