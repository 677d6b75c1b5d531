# SPDX-License-Identifier: Apache-2.0
"""libsealway as somebody else's program finds it: installed, by pkg-config, in C and in C++."""
import os
import subprocess

import pytest

SANITIZED = bool(os.environ.get("SEALWAY_SANITIZED"))
BUILD = os.environ["SEALWAY_BUILD"]
PROGRAM = r"""
#include <sealway.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	struct sealway_opts o;
	char why[256], *body = NULL;
	struct sealway *s;
	int status;

	memset(&o, 0, sizeof(o));
	o.url = "http://127.0.0.1:1";
	o.token = "t";
	s = sealway_new(&o, why, sizeof(why));
	if (!s) {
		puts(why);
		return 1;
	}
	status = sealway_get(s, "/health", &body);
	printf("%d|%s\n", status, sealway_error(s));
	sealway_text_free(body);
	sealway_free(s);
	return 0;
}
"""


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    top = str(tmp_path_factory.mktemp("installed"))
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", top], check=True)
    where = [d for d, _, files in os.walk(top) if "libsealway.pc" in files]
    looked_in = subprocess.run(["pkg-config", "--variable=pc_path", "pkg-config"], check=True, capture_output=True, text=True).stdout
    assert where[0][len(top):] in looked_in.strip().split(":")
    out = subprocess.run(["pkg-config", "--cflags", "--libs", "libsealway"], check=True,
                         env={**os.environ, "PKG_CONFIG_PATH": where[0], "PKG_CONFIG_SYSROOT_DIR": top}, capture_output=True, text=True)
    return out.stdout.split()


@pytest.mark.parametrize("compiler, ending", [("gcc", "c"), ("g++", "cc")])
def test_a_program_on_the_installed_library(flags, tmp_path, compiler, ending):
    source, program = tmp_path / f"program.{ending}", str(tmp_path / "program")
    source.write_text(PROGRAM)
    sanitizers = ["-fsanitize=address,undefined"] if SANITIZED else []
    subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", "-pedantic", *sanitizers, str(source), "-o", program, *flags],
                   check=True)
    home = {**os.environ, "HOME": str(tmp_path)}  # for known nodes; a service that runs the tests need not have one
    got = subprocess.run([program], env=home, check=True, capture_output=True, text=True).stdout
    assert got.startswith("0|cannot talk to http://127.0.0.1:1: "), got
