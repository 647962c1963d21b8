/*
 * Cache files in pages: what was set lives in pages in memory until a flush
 * has written it.  A flush takes all dirty pages away into one request; a page
 * that is set again meanwhile is copied, so that memory in flight never
 * changes.  Lookup goes from the newest to the oldest, then to the file.
 */
#include <stdlib.h>
#include <string.h>

#include "journal/array.h"

#define PAGE 4096
/* A gap is materialised as zero pages: no caller has a reason for a larger one. */
#define GAP_MAX ((uint64_t)256 << 20)

struct page {
	uint64_t no;
	uint8_t *p;
};

struct pages {
	struct page *v; /* sorted by no */
	size_t n;
	size_t cap;
};

struct flight {
	struct nrs_array *a;
	struct pages pages;
	struct nrs_io io;
	struct nrs_io_step *steps;
	bool sync;
	uint64_t seen; /* failures known when it was submitted */
	struct flight *older;
};

struct nrs_array {
	struct nrs_env *env;
	char *path;
	char *dir;
	char *updir;
	size_t esize;
	uint64_t count;
	nrs_file file;
	struct pages dirty;
	struct flight *flights; /* newest first */
	int failed;		/* of a flush; until a later one with a sync succeeded */
	uint64_t failures;	/* how many there were */
	bool unsynced;		/* written, given out of memory, and not synced yet */
	bool lost;	  /* such bytes were lost: nothing can make this file good again */
	bool named;	  /* its name is durable */
	bool in_order;	  /* nrs_array_in_order() */
	uint64_t last_no; /* the page that was read last */
	uint8_t *kept;	  /* a page as it is in the file, and not in memory elsewhere */
	uint64_t kept_no;
	size_t kept_len; /* 0: none */
};

/* --- sets of pages ------------------------------------------------------ */

/* Index of the first page that is not below no. */
static size_t
pages_seek(const struct pages *s, uint64_t no)
{
	size_t lo = 0, hi = s->n, mid;

	if (hi > 0 && s->v[hi - 1].no < no)
		return hi; /* appending is the usual case */
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->v[mid].no < no)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static uint8_t *
pages_find(const struct pages *s, uint64_t no)
{
	size_t i = pages_seek(s, no);

	return i < s->n && s->v[i].no == no ? s->v[i].p : NULL;
}

static int
pages_add(struct pages *s, uint64_t no, uint8_t *p)
{
	size_t i = pages_seek(s, no), cap;
	struct page *v;

	if (s->n == s->cap) {
		cap = s->cap > 0 ? s->cap * 2 : 8;
		if ((v = realloc(s->v, cap * sizeof(*v))) == NULL)
			return NRS_ENOMEM;
		s->v = v;
		s->cap = cap;
	}
	memmove(&s->v[i + 1], &s->v[i], (s->n - i) * sizeof(*s->v));
	s->v[i].no = no;
	s->v[i].p = p;
	s->n++;
	return 0;
}

static void
pages_fini(struct pages *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		free(s->v[i].p);
	free(s->v);
	memset(s, 0, sizeof(*s));
}

/* --- opening ------------------------------------------------------------ */

static char *
parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? strndup(path, (size_t)(slash - path)) : strdup(".");
}

static int
file_need(struct nrs_array *a)
{
	if (a->file != 0)
		return 0;
	return a->env->ops->file_open(
	    a->env, a->path, NRS_OPEN_WRITE | NRS_OPEN_MAYBE, &a->file);
}

static int
open_existing(struct nrs_array *a)
{
	uint64_t size = 0;
	int rc;

	rc = a->env->ops->file_open(a->env, a->path, NRS_OPEN_WRITE, &a->file);
	if (rc == NRS_ENOTFOUND)
		return NRS_ECORRUPT;
	if (rc != 0 || (rc = a->env->ops->file_size(a->env, a->file, &size)) != 0)
		return rc;
	return size / a->esize < a->count ? NRS_ECORRUPT : 0;
}

int
nrs_array_open(struct nrs_env *env, const char *path, size_t esize, uint64_t count,
    struct nrs_array **ret)
{
	struct nrs_array *a;
	int rc = NRS_ENOMEM;

	*ret = NULL;
	if (esize == 0 || esize > PAGE)
		return NRS_EINTERNAL;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return NRS_ENOMEM;
	a->env = env;
	a->esize = esize;
	a->count = count;
	if ((a->path = strdup(path)) == NULL || (a->dir = parent(path)) == NULL ||
	    (a->updir = parent(a->dir)) == NULL)
		goto out;
	if (count > 0 && (rc = open_existing(a)) != 0)
		goto out;
	*ret = a;
	a = NULL;
	rc = 0;
out:
	nrs_array_free(a);
	return rc;
}

static void
flight_free(struct flight *f)
{
	pages_fini(&f->pages);
	free(f->steps);
	free(f);
}

void
nrs_array_free(struct nrs_array *a)
{
	struct flight *f;

	if (a == NULL)
		return;
	while ((f = a->flights) != NULL) {
		a->flights = f->older;
		flight_free(f);
	}
	pages_fini(&a->dirty);
	free(a->kept);
	if (a->file != 0)
		a->env->ops->file_close(a->env, a->file);
	free(a->path);
	free(a->dir);
	free(a->updir);
	free(a);
}

/* --- elements ----------------------------------------------------------- */

uint64_t
nrs_array_count(const struct nrs_array *a)
{
	return a->count;
}

static const uint8_t *
page_lookup(const struct nrs_array *a, uint64_t no)
{
	const struct flight *f;
	const uint8_t *p = pages_find(&a->dirty, no);

	for (f = a->flights; p == NULL && f != NULL; f = f->older)
		p = pages_find(&f->pages, no);
	return p;
}

/* What stands behind the last element is of an older life of the file, or was cut. */
static void
page_trim(const struct nrs_array *a, uint64_t no, uint8_t *p)
{
	uint64_t end = a->count * a->esize, at = no * PAGE;

	if (end <= at)
		memset(p, 0, PAGE);
	else if (end - at < PAGE)
		memset(p + (end - at), 0, PAGE - (size_t)(end - at));
}

static int
page_load(struct nrs_array *a, uint64_t no, uint8_t *p)
{
	const uint8_t *old = page_lookup(a, no);
	size_t got = 0;
	int rc;

	if (old != NULL) {
		memcpy(p, old, PAGE);
	} else if (no * PAGE < a->count * a->esize) {
		if ((rc = file_need(a)) != 0 ||
		    (rc = a->env->ops->file_pread(
			 a->env, a->file, no * PAGE, p, PAGE, &got)) != 0)
			return rc;
		memset(p + got, 0, PAGE - got);
	}
	page_trim(a, no, p);
	return 0;
}

/* The page as one that may be changed. */
static int
page_own(struct nrs_array *a, uint64_t no, uint8_t **ret)
{
	uint8_t *p;
	int rc;

	if ((*ret = pages_find(&a->dirty, no)) != NULL)
		return 0;
	if (a->kept_no == no)
		a->kept_len = 0; /* the file will have something else */
	if ((p = malloc(PAGE)) == NULL)
		return NRS_ENOMEM;
	if ((rc = page_load(a, no, p)) != 0 || (rc = pages_add(&a->dirty, no, p)) != 0) {
		free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

int
nrs_array_set(struct nrs_array *a, uint64_t i, const void *elem)
{
	const uint8_t *src = elem;
	uint64_t at, no, first, last;
	size_t off, n, left = a->esize;
	uint8_t *p;
	int rc;

	if (i >= UINT64_MAX / a->esize - PAGE)
		return NRS_ERANGE;
	if (i > a->count && (i - a->count) > GAP_MAX / a->esize)
		return NRS_ELIMIT;
	at = i * a->esize;
	/* All pages first, gap included: afterwards nothing can fail. */
	first = (i > a->count ? a->count * a->esize : at) / PAGE;
	last = (at + a->esize - 1) / PAGE;
	for (no = first; no <= last; no++)
		if ((rc = page_own(a, no, &p)) != 0)
			return rc;
	for (; left > 0; at += n, src += n, left -= n) {
		off = (size_t)(at % PAGE);
		n = left < PAGE - off ? left : PAGE - off;
		memcpy(pages_find(&a->dirty, at / PAGE) + off, src, n);
	}
	if (i >= a->count)
		a->count = i + 1;
	return 0;
}

/*
 * Small pieces one after the other: a page is read once and not for each of
 * them.  True: dst has them.  Whatever fails here is tried again without it.
 */
static bool
get_kept(struct nrs_array *a, uint64_t at, size_t len, uint8_t *dst)
{
	uint64_t no = at / PAGE, last = a->last_no;
	size_t off = (size_t)(at % PAGE);

	a->last_no = no;
	if (!a->in_order || len > PAGE - off)
		return false;
	if (a->kept_len == 0 || a->kept_no != no) {
		if (no != last && no != last + 1)
			return false;
		if (a->kept == NULL && (a->kept = malloc(PAGE)) == NULL)
			return false;
		a->kept_no = no;
		if (file_need(a) != 0 ||
		    a->env->ops->file_pread(
			a->env, a->file, no * PAGE, a->kept, PAGE, &a->kept_len) != 0)
			a->kept_len = 0;
	}
	if (off + len > a->kept_len)
		return false;
	memcpy(dst, a->kept + off, len);
	return true;
}

/* Bytes from the file, up to the next page that is in memory. */
static int
get_file(struct nrs_array *a, uint64_t at, size_t len, uint8_t *dst, size_t *ret_n)
{
	size_t n = PAGE - (size_t)(at % PAGE), got;
	int rc;

	if (get_kept(a, at, len, dst)) {
		*ret_n = len;
		return 0;
	}
	if (n > len)
		n = len;
	while (n < len && page_lookup(a, (at + n) / PAGE) == NULL)
		n += len - n < PAGE ? len - n : PAGE;
	if ((rc = file_need(a)) != 0 ||
	    (rc = a->env->ops->file_pread(a->env, a->file, at, dst, n, &got)) != 0)
		return rc;
	*ret_n = n;
	return got == n ? 0 : NRS_ECORRUPT;
}

int
nrs_array_get(struct nrs_array *a, uint64_t i, size_t n, void *ret)
{
	const uint8_t *p;
	uint8_t *dst = ret;
	uint64_t at;
	size_t left, k, off;
	int rc;

	if (i > a->count || n > a->count - i)
		return NRS_ERANGE;
	at = i * a->esize;
	for (left = n * a->esize; left > 0; at += k, dst += k, left -= k) {
		if ((p = page_lookup(a, at / PAGE)) == NULL) {
			if ((rc = get_file(a, at, left, dst, &k)) != 0)
				return rc;
			continue;
		}
		off = (size_t)(at % PAGE);
		k = left < PAGE - off ? left : PAGE - off;
		memcpy(dst, p + off, k);
	}
	return 0;
}

void
nrs_array_truncate(struct nrs_array *a, uint64_t count)
{
	uint64_t end;
	size_t n;

	if (count >= a->count)
		return;
	a->count = count;
	end = count * a->esize;
	for (n = a->dirty.n; n > 0 && a->dirty.v[n - 1].no * PAGE >= end; n--)
		free(a->dirty.v[n - 1].p);
	a->dirty.n = n;
	if (n > 0)
		page_trim(a, a->dirty.v[n - 1].no, a->dirty.v[n - 1].p);
}

void
nrs_array_in_order(struct nrs_array *a)
{
	a->in_order = true;
}

/* --- flushing ----------------------------------------------------------- */

/* Nothing newer in memory: dirty again. */
static void
page_return(struct nrs_array *a, const struct flight *f, struct page *pg)
{
	const struct flight *g;

	if (pg->no * PAGE >= a->count * a->esize || pages_find(&a->dirty, pg->no) != NULL)
		return;
	for (g = a->flights; g != NULL && g != f; g = g->older)
		if (pages_find(&g->pages, pg->no) != NULL)
			return;
	page_trim(a, pg->no, pg->p);
	if (pages_add(&a->dirty, pg->no, pg->p) == 0)
		pg->p = NULL;
	else
		a->lost = true;
}

static void
flush_done(struct nrs_io *io)
{
	struct flight *f = io->arg, **link;
	struct nrs_array *a = f->a;
	size_t i;

	if (io->rc == 0 && f->sync) {
		a->unsynced = false;
		a->named = true;
		/* It carried the pages of the failures it knew of, and only those. */
		if (f->seen == a->failures)
			a->failed = 0;
	} else if (io->rc == 0) {
		a->unsynced = true;
	} else {
		a->failed = io->rc;
		a->failures++;
		/* After an I/O error, what was written and not synced is gone. */
		if (io->rc != NRS_EFULL && a->unsynced)
			a->lost = true;
		for (i = 0; i < f->pages.n; i++)
			page_return(a, f, &f->pages.v[i]);
	}
	for (link = &a->flights; *link != f; link = &(*link)->older)
		continue;
	*link = f->older;
	flight_free(f);
}

static void
flush_steps(struct nrs_array *a, struct flight *f)
{
	struct nrs_io_step *s = f->steps;
	size_t i;

	for (i = 0; i < f->pages.n; i++, s++) {
		s->op = NRS_IO_PWRITE;
		s->file = a->file;
		s->off = f->pages.v[i].no * PAGE;
		s->data = f->pages.v[i].p;
		s->len = PAGE;
	}
	if (f->sync) {
		s->op = NRS_IO_SYNC;
		s->file = a->file;
		s++;
		if (!a->named) {
			s->op = NRS_IO_SYNCDIR;
			s->path = a->dir;
			s++;
			s->op = NRS_IO_SYNCDIR;
			s->path = a->updir;
			s++;
		}
	}
	f->io.steps = f->steps;
	f->io.nsteps = (unsigned int)(s - f->steps);
	f->io.done = flush_done;
	f->io.arg = f;
}

static int
flush_submit(struct nrs_array *a, bool sync)
{
	struct flight *f;
	int rc;

	if ((rc = file_need(a)) != 0)
		return rc;
	if ((f = calloc(1, sizeof(*f))) == NULL)
		return NRS_ENOMEM;
	if ((f->steps = calloc(a->dirty.n + 3, sizeof(*f->steps))) == NULL) {
		free(f);
		return NRS_ENOMEM;
	}
	f->a = a;
	f->sync = sync;
	f->seen = a->failures;
	f->pages = a->dirty;
	memset(&a->dirty, 0, sizeof(a->dirty));
	flush_steps(a, f);
	f->older = a->flights;
	a->flights = f;
	a->env->ops->io_submit(a->env, &f->io);
	return 0;
}

/* Is there more to sync than what a flight already carries? */
static bool
sync_needed(const struct nrs_array *a)
{
	const struct flight *f = a->flights;

	if (f != NULL && f->sync && f->seen == a->failures)
		return false;
	return f != NULL || a->unsynced || a->failed != 0;
}

int
nrs_array_flush(struct nrs_array *a, bool sync)
{
	int rc = 0;

	if (a->lost)
		return NRS_ECORRUPT;
	if (a->dirty.n > 0 || (sync && sync_needed(a)))
		rc = flush_submit(a, sync);
	return a->failed != 0 ? a->failed : rc;
}

size_t
nrs_array_dirty(const struct nrs_array *a)
{
	const struct flight *f;
	size_t n = a->dirty.n;

	for (f = a->flights; f != NULL; f = f->older)
		n += f->pages.n;
	return n * PAGE;
}

bool
nrs_array_busy(const struct nrs_array *a)
{
	return a->flights != NULL;
}
