# Grades without network, in a container that holds nothing else. Nobody has built it on the machine where it was written:
# CI builds it where docker is.
#
#   docker build -t quantization-graders .
#   docker run --rm --network none -v "$PWD/handed_in:/in:ro" -v "$PWD/out:/out" quantization-graders grade /in --output /out
#
# The image holds solutions and hidden tests: it is not for students.
FROM python:3.11-slim
RUN apt-get update -q && apt-get install -q -y --no-install-recommends libseccomp2 && rm -rf /var/lib/apt/lists/*
WORKDIR /project
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY exercises exercises
COPY solutions solutions
COPY graders graders
RUN PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu pip install -q --no-cache-dir -c requirements.lock -e '.[graders]'
ENTRYPOINT ["python", "-m", "graders"]
