#include "trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

gpu gpus[MAX_GPUS];
int ngpus;
char driver[96] = "570.00.00";

#define PUSH(list, item) do { \
    if ((list).n == (list).room) { \
      (list).room = (list).room ? 2 * (list).room : 16; \
      (list).at = realloc((list).at, (list).room * sizeof *(list).at); \
      if (!(list).at) abort(); \
    } \
    (list).at[(list).n++] = (item); \
  } while (0)

static gpu *new_gpu(void) {
  gpu *g = &gpus[ngpus];
  memset(g, 0, sizeof *g);
  g->index = ngpus++;
  strcpy(g->name, "NVIDIA Fake H100 80GB HBM3");
  snprintf(g->uuid, sizeof g->uuid, "GPU-fa4e%04d-0000-0000-0000-000000000000", g->index);
  g->power_limit_mw = 700000, g->mem_total = 85520809984.0, g->mem_reserved = 560000000, g->max_sm_mhz = 1980;
  g->util_period_ms = 167, g->power_period_ms = 100, g->energy_period_ms = 100, g->power_avg_ms = 1000;
  return g;
}

static int set(gpu *g, const char *key, const char *value) {
  struct { const char *key; double *number; } numbers[] = {
      {"power_limit_mw", &g->power_limit_mw}, {"mem_total", &g->mem_total}, {"mem_reserved", &g->mem_reserved}, {"max_sm_mhz", &g->max_sm_mhz},
      {"pstate", &g->pstate}, {"util_period_ms", &g->util_period_ms}, {"power_period_ms", &g->power_period_ms}, {"energy_period_ms", &g->energy_period_ms},
      {"power_avg_ms", &g->power_avg_ms}, {"call_latency_us", &g->call_latency_us}, {"mig", &g->mig}, {"vgpu", &g->vgpu}, {"gpm", &g->gpm}, {"pcie_wrap", &g->pcie_wrap}};
  struct { const char *key; char *text; } texts[] = {{"name", g->name}, {"uuid", g->uuid}, {"mig_uuid", g->mig_uuid}, {"driver", driver}};
  for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (!strcmp(key, numbers[i].key)) return *numbers[i].number = atof(value), 1;
  for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
    if (!strcmp(key, texts[i].key)) return snprintf(texts[i].text, sizeof g->name, "%s", value), 1;
  return 0;
}

static int read_field(gpu *g, const char *line) {
  said f = {.ms = -1};
  char kind[16] = "";
  if (sscanf(line, "field %u at %lf %lf", &f.id, &f.ms, &f.value) != 3) {
    f.ms = -1;
    if (sscanf(line, "field %u u64 %lf", &f.id, &f.value) == 2) f.ms = 0;
    else if (sscanf(line, "field %u %15s", &f.id, kind) != 2) return 0;
    f.none = !strcmp(kind, "none"), f.module = !strcmp(kind, "module");
    if (f.ms < 0 && !f.none && !f.module) return 0;
  }
  PUSH(g->fields, f);
  return 1;
}

static int read_row(gpu *g, const char *line) {
  row r = {0};
  unsigned long long reasons = 0;
  double *v = r.v;
  int n = sscanf(line, "%lf %lf %lf %lf %lf %lf %lf %lf %llx %lf %lf %lf %lf %lf %lf", &r.ms, v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, &reasons, v + 8, v + 9, v + 10, v + 11, v + 12, v + 13);
  v[REASONS] = reasons;
  if (n < 4) return 0;
  PUSH(g->rows, r);
  return 1;
}

static int read_line(gpu **g, const char *line) {
  char key[64], value[96];
  int n;
  proc p;
  fault f = {.value = 0};
  xid x;
  ecc e;
  double at;
  if (sscanf(line, "device %d", &n) == 1) {
    if (n < 0 || n > ngpus || n >= MAX_GPUS) return 0;
    *g = n == ngpus ? new_gpu() : &gpus[n];
    return 1;
  }
  if (sscanf(line, "set %63s %95[^\n]", key, value) == 2) return set(*g, key, value);
  if (sscanf(line, "proc %lf %lf %u %lf", &p.from, &p.to, &p.pid, &p.bytes) == 4) { PUSH((*g)->procs, p); return 1; }
  if (sscanf(line, "%7s %lf %lf %63s %lf", f.kind, &f.from, &f.to, f.function, &f.value) >= 4 && (!strcmp(f.kind, "fail") || !strcmp(f.kind, "hang") || !strcmp(f.kind, "slow"))) { PUSH((*g)->faults, f); return 1; }
  if (sscanf(line, "xid %lf %u", &x.ms, &x.code) == 2) { PUSH((*g)->xids, x); return 1; }
  if (sscanf(line, "ecc %lf %lf %lf", &e.ms, &e.corrected, &e.uncorrected) == 3) { PUSH((*g)->eccs, e); return 1; }
  if (sscanf(line, "reset %lf", &at) == 1) { PUSH((*g)->resets, at); return 1; }
  if (!strncmp(line, "field ", 6)) return read_field(*g, line);
  return read_row(*g, line);
}

/* Everything that is sorted begins with its time. */
static int by_time(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int trace_load(const char *path) {
  FILE *f = fopen(path, "r");
  char line[512];
  if (!f) return UNKNOWN;
  ngpus = 0;
  gpu *g = new_gpu();
  while (fgets(line, sizeof line, f)) {
    char *text = line + strspn(line, " \t");
    if (*text == '#' || *text == '\n') continue;
    if (!read_line(&g, text)) {
      fprintf(stderr, "fakenvml: cannot read: %s", line);
      fclose(f);
      return UNKNOWN;
    }
  }
  fclose(f);
  for (int i = 0; i < ngpus; i++) {
    g = &gpus[i];
    if (!g->rows.n) return UNKNOWN;
    qsort(g->rows.at, g->rows.n, sizeof(row), by_time);
    if (g->xids.n) qsort(g->xids.at, g->xids.n, sizeof(xid), by_time);
    if (g->eccs.n) qsort(g->eccs.at, g->eccs.n, sizeof(ecc), by_time);
    if (g->resets.n) qsort(g->resets.at, g->resets.n, sizeof(double), by_time);
  }
  return SUCCESS;
}

row *row_at(gpu *g, double ms) {
  int low = 0, high = g->rows.n; /* the last row at or before ms; else the first */
  while (high - low > 1) {
    int mid = (low + high) / 2;
    if (g->rows.at[mid].ms <= ms) low = mid;
    else high = mid;
  }
  return &g->rows.at[low];
}

double grid(double ms, double period) { return period * floor(ms / period); }

/* The integral over time of a column, or of the time in ns for which a reason held. */
static double integral(gpu *g, double from, double to, int column, unsigned long long bit) {
  double sum = 0;
  for (int i = 0; i < g->rows.n; i++) {
    row *r = &g->rows.at[i];
    double a = i && r->ms > from ? r->ms : from, b = to;
    if (i + 1 < g->rows.n && g->rows.at[i + 1].ms < to) b = g->rows.at[i + 1].ms;
    double v = r->v[column];
    if (bit) v = (unsigned long long)v & bit ? 1e6 : 0;
    if (column == POWER) v /= 1e3;
    if (b > a) sum += v * (b - a);
  }
  return sum;
}

double column_mean(gpu *g, double from, double to, int column) {
  return to > from ? integral(g, from, to, column, 0) / (to - from) * (column == POWER ? 1e3 : 1) : g->rows.at[0].v[column];
}

/* Counters begin at the last reset. */
static double since(gpu *g, double ms, int *reset) {
  double from = 0;
  *reset = 0;
  for (int i = 0; i < g->resets.n; i++)
    if (g->resets.at[i] <= ms) from = g->resets.at[i], *reset = 1;
  return from;
}

uint64_t millijoules(gpu *g, double ms) {
  int reset;
  double q = grid(ms, g->energy_period_ms), from = since(g, q, &reset);
  return (reset ? 0 : 1000000000) + (uint64_t)integral(g, from, q, POWER, 0);
}

static double average(gpu *g, double ms) {
  double q = grid(ms, g->power_period_ms), from = q > g->power_avg_ms ? q - g->power_avg_ms : 0;
  return q > from ? column_mean(g, from, q, POWER) : row_at(g, q)->v[POWER];
}

static int model(gpu *g, unsigned id, double ms, double *value) {
  int reset;
  double from = since(g, ms, &reset);
  switch (id) {
    case 186: *value = floor(row_at(g, grid(ms, g->power_period_ms))->v[POWER]); return SUCCESS;
    case 185: *value = floor(average(g, ms) + 0.5); return SUCCESS;
    case 83: *value = millijoules(g, ms); return SUCCESS;
    case 82: *value = floor(row_at(g, ms)->v[TEMP]) + 8; return SUCCESS;
    case 197: case 198:
      *value = floor(integral(g, from, ms, TX + id - 197, 0));
      if (g->pcie_wrap) *value = fmod(*value, 4294967296.0);
      return SUCCESS;
    case 74: *value = floor(integral(g, from, ms, REASONS, 0x4)); return SUCCESS;
    case 269: *value = floor(integral(g, from, ms, REASONS, 0x20)); return SUCCESS;
    case 270: *value = floor(integral(g, from, ms, REASONS, 0x40)); return SUCCESS;
    case 271: *value = floor(integral(g, from, ms, REASONS, 0x80)); return SUCCESS;
  }
  return NOT_SUPPORTED;
}

int field_at(gpu *g, unsigned id, unsigned scope, double ms, double *value) {
  int module = 0;
  said *first = 0, *best = 0;
  for (int i = 0; i < g->fields.n; i++) {
    said *f = &g->fields.at[i];
    if (f->id != id) continue;
    if (f->none) return NOT_SUPPORTED;
    module |= f->module;
    if (f->ms < 0) continue;
    if (!first || f->ms < first->ms) first = f;
    if (f->ms <= ms && (!best || f->ms >= best->ms)) best = f;
  }
  if (module != (int)scope) return NOT_SUPPORTED;
  if (!first) return model(g, id, ms, value);
  *value = (best ? best : first)->value;
  return SUCCESS;
}

ecc ecc_at(gpu *g, double ms) {
  ecc now = {0, 0, 0};
  for (int i = 0; i < g->eccs.n; i++)
    if (g->eccs.at[i].ms <= ms) now = g->eccs.at[i];
  return now;
}
