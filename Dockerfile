# The control plane: Airflow, Locust and Slipway. What serves models is made on the hosts, not here.
FROM python:3.11.16-slim-bookworm

RUN groupadd --gid 10001 slipway \
    && useradd --uid 10001 --gid slipway --create-home slipway \
    && install --directory --owner slipway --group slipway --mode 0750 /var/lib/airflow

# An index of your own, where pip's default is out of reach.
ARG PIP_INDEX_URL
WORKDIR /opt/slipway
COPY requirements-image.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes --requirement requirements-image.txt
COPY pyproject.toml README.md ./
COPY include/slipway include/slipway
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

ENV AIRFLOW_HOME=/var/lib/airflow PYTHONUNBUFFERED=1
USER slipway
CMD ["airflow", "version"]
