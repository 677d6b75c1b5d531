/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of pinned keys (PROTOCOL section 4.9).  A line that cannot be read is an
 * error, never skipped: a damaged file must not turn a known node into a new
 * one.  Two clients at once: each holds a lock on the directory from reading to
 * renaming.
 */
#include "client/pins.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/b64.h"
#include "common/file.h"

#define PINS_BYTES_MAX (4u << 20)

char *pins_default_path(void)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	struct buf b = { 0 };

	if (xdg && *xdg == '/')
		buf_fmt(&b, "%s/sealway/known_nodes", xdg);
	else if (home && *home)
		buf_fmt(&b, "%s/.config/sealway/known_nodes", home);
	else
		return NULL;
	buf_add(&b, "", 1);
	return (char *)b.p;
}

/* The whole file into out; a file that does not exist is empty.  A device or a pipe is none: it would hang
 * us, and a new list would take its place, of /dev/null, say. */
static bool slurp(const char *path, struct buf *out, struct fault *f)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	ssize_t n = 0;

	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		close(fd);
		return fault(f, SEALWAY_LOCAL, "cannot keep known nodes in %s: it is not a regular file",
			     path);
	}
	while (fd >= 0 && out->n <= PINS_BYTES_MAX) {
		buf_reserve(out, 4096);
		n = read(fd, out->p + out->n, 4096);
		if (n <= 0)
			break;
		out->n += (size_t)n;
	}
	if (fd < 0 || n < 0)
		fault(f, SEALWAY_LOCAL, "cannot read %s: %s", path, strerror(errno));
	else if (out->n > PINS_BYTES_MAX)
		fault(f, SEALWAY_LOCAL, "%s is too large to be a list of known nodes", path);
	if (fd >= 0)
		close(fd);
	return f->status == SEALWAY_OK;
}

static struct slice word(struct slice *line)
{
	size_t n = 0;
	struct slice w;

	while (line->n && *line->p == ' ')
		line->p++, line->n--;
	while (n < line->n && line->p[n] != ' ')
		n++;
	w = slice_of(line->p, n);
	line->p += n;
	line->n -= n;
	return w;
}

static bool read_line(struct slice line, struct slice *origin, uint64_t *node, uint8_t key[KEY_BYTES])
{
	*origin = word(&line);
	return !slice_u64(word(&line), ID_MAX, node) && !b64_decode_exact(word(&line), key, KEY_BYTES) &&
	       !word(&line).n;
}

static struct slice next_line(struct slice *text)
{
	const uint8_t *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
	size_t n = end ? (size_t)(end - text->p) : text->n;
	struct slice line = slice_of(text->p, n);

	n += end != NULL;
	text->p += n;
	text->n -= n;
	return line;
}

static enum pins_found find(const char *path, struct slice text, const char *origin, uint64_t node,
			    uint8_t key[KEY_BYTES], struct fault *f)
{
	enum pins_found found = PINS_NEW;
	uint8_t k[KEY_BYTES];
	struct slice o;
	uint64_t id;

	for (unsigned no = 1; text.n; no++) {
		struct slice line = next_line(&text);

		if (!line.n || *line.p == '#')
			continue;
		if (!read_line(line, &o, &id, k)) {
			fault(f, SEALWAY_LOCAL, "%s line %u is not \"origin node key\"; mend or remove it",
			      path, no);
			return PINS_ERROR;
		}
		if (found == PINS_NEW && id == node && slice_is(o, origin)) {
			memcpy(key, k, KEY_BYTES);
			found = PINS_SAME;
		}
	}
	return found;
}

enum pins_found pins_look(const char *path, const char *origin, uint64_t node, uint8_t key[KEY_BYTES],
			  struct fault *f)
{
	struct buf text = { 0 };
	enum pins_found found = PINS_ERROR;

	if (slurp(path, &text, f))
		found = find(path, buf_slice(&text), origin, node, key, f);
	buf_free(&text);
	return found;
}

/* mkdir -p of the file's directory, 0700 like everything of ours in there.  The errno of the last one that
 * could not be made; 0: all are there. */
static int make_parents(char *path)
{
	int e = 0;

	for (char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		e = mkdir(path, 0700) && errno != EEXIST ? errno : 0;
		*s = '/';
	}
	return e;
}

static int lock_directory(const char *path, struct fault *f)
{
	char *dir = mem_strndup(path, strlen(path)), *slash = strrchr(dir, '/');
	int made = make_parents(dir), fd;

	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && made)
		errno = made; /* why it is not there */
	if (fd < 0 || !file_lock(fd)) {
		fault(f, SEALWAY_LOCAL, "cannot keep known nodes in %s: %s", slash ? dir : ".",
		      errno == EWOULDBLOCK ? "another program holds its lock" : strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	free(dir);
	return fd;
}

static bool replace(const char *path, struct slice text, struct fault *f)
{
	struct buf tmp = { 0 };
	bool ok;
	int fd;

	buf_fmt(&tmp, "%s.%ld.new", path, (long)getpid());
	buf_add(&tmp, "", 1);
	unlink((char *)tmp.p); /* of a process that was killed: in containers numbers come again */
	fd = open((char *)tmp.p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ok = fd >= 0 && file_write(fd, text) && !fsync(fd);
	if (fd >= 0)
		ok = !close(fd) && ok;
	if (!ok || rename((char *)tmp.p, path)) {
		fault(f, SEALWAY_LOCAL, "cannot write %s: %s", path, strerror(errno));
		if (fd >= 0)
			unlink((char *)tmp.p);
		ok = false;
	}
	buf_free(&tmp);
	return ok;
}

static bool append(const char *path, struct buf *text, const char *origin, uint64_t node,
		   const uint8_t key[KEY_BYTES], struct fault *f)
{
	if (!text->n)
		buf_str(text, "# signing keys of nodes, pinned at first use: gateway, node, key\n");
	else if (text->p[text->n - 1] != '\n')
		buf_str(text, "\n");
	buf_fmt(text, "%s %" PRIu64 " ", origin, node);
	b64_encode(text, slice_of(key, KEY_BYTES));
	buf_str(text, "\n");
	return replace(path, buf_slice(text), f);
}

static enum pins_found changed(const char *path, const char *origin, uint64_t node, struct fault *f)
{
	fault(f, SEALWAY_VERIFY,
	      "the signing key of node %" PRIu64 " at %s is not the one pinned in %s. Somebody may be in the "
	      "middle. If the operator confirms that the node has a new key, remove that line and try again",
	      node, origin, path);
	return PINS_ERROR;
}

enum pins_found pins_check(const char *path, const char *origin, uint64_t node, const uint8_t key[KEY_BYTES],
			   struct fault *f)
{
	uint8_t known[KEY_BYTES];
	struct buf text = { 0 };
	enum pins_found found = pins_look(path, origin, node, known, f);
	int dir;

	if (found == PINS_NEW) { /* look again under the lock, then write */
		dir = lock_directory(path, f);
		if (dir < 0 || !slurp(path, &text, f))
			found = PINS_ERROR;
		else
			found = find(path, buf_slice(&text), origin, node, known, f);
		if (found == PINS_NEW && !append(path, &text, origin, node, key, f))
			found = PINS_ERROR;
		if (dir >= 0)
			close(dir);
		buf_free(&text);
	}
	if (found == PINS_SAME && memcmp(known, key, KEY_BYTES))
		return changed(path, origin, node, f);
	return found;
}
