# Built from a checkout: docker build -t polyrepl .
# Run: docker run -p 8000:8000 -e POLYREPL_TOKEN=... polyrepl
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheels

FROM python:3.12-slim-bookworm
RUN useradd --create-home --uid 10001 polyrepl
RUN apt-get update && apt-get install -y --no-install-recommends fonts-noto-cjk fonts-symbola && rm -rf /var/lib/apt/lists/*
COPY --from=build /wheels /wheels
RUN wheel="$(ls /wheels/*.whl)" && pip install --no-cache-dir "${wheel}[data]" && rm -rf /wheels
# Figures take glyphs that the first font lacks from the next: CJK, then emoji, of which matplotlib draws outlines only.
RUN echo 'font.family: sans-serif, Noto Sans CJK JP, Symbola' >> "$(python -c 'import matplotlib; print(matplotlib.matplotlib_fname())')"
USER polyrepl
WORKDIR /home/polyrepl
ENV POLYREPL_HOST=0.0.0.0 POLYREPL_PORT=8000 POLYREPL_LOG_FORMAT=json
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['POLYREPL_PORT']}/healthz\", timeout=2)"]
# Signals reach the server, which ends its kernels; as process 1 it also needs an init for orphans: docker run --init
ENTRYPOINT ["polyrepl"]
CMD ["serve"]
