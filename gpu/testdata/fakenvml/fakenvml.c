/* A stand-in for the NVIDIA driver library that replays a text trace (see ../README.md). Tests build it with gcc and
 * load it through the same dlopen path as the real one. Structures are written from the sizes and offsets of the
 * public interface; nvmlDeviceGetClockInfo is left out on purpose: calling a function that a driver lacks must not
 * happen. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };

typedef struct { unsigned gpu, memory; } utilization;
typedef struct { unsigned version; uint64_t total, reserved, free, used; } memory_v2;
typedef struct { unsigned pid; uint64_t used; unsigned instance, compute; } process_info;
typedef struct { unsigned field, scope; int64_t timestamp, latency; unsigned type; int ret; union { double d; unsigned u; uint64_t u64; } value; } field_value;
_Static_assert(sizeof(utilization) == 8, "nvmlUtilization_t");
_Static_assert(sizeof(memory_v2) == 40, "nvmlMemory_v2_t");
_Static_assert(sizeof(process_info) == 24, "nvmlProcessInfo_t");
_Static_assert(sizeof(field_value) == 40, "nvmlFieldValue_t");

typedef struct { double ms, gpu, mem, mw, used, temp, sm, memclk; unsigned long long reasons; } row;
typedef struct { double from, to; unsigned pid; double bytes; } proc;
typedef struct { double from, to; char function[64]; int code, hang; } failure;

static row rows[4096];
static proc procs[64];
static failure failures[64];
static unsigned lacks[64]; /* field ids that answer NOT_SUPPORTED */
static int nrows, nprocs, nfailures, nlacks, references;
static double util_period = 167, power_period = 100, energy_period = 100, reserved = 560000000, limit_mw = 700000, total = 85520809984.0;
static char name[96] = "NVIDIA Fake H100 80GB HBM3", uuid[96] = "GPU-fa4e0000-0000-0000-0000-000000000000", driver[96] = "570.00.00";
static struct timespec start;
static int device;

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (t.tv_sec - start.tv_sec) * 1e3 + (t.tv_nsec - start.tv_nsec) / 1e6;
}

static void setting(const char *key, const char *value) {
  struct { const char *key; double *number; } numbers[] = {
      {"util_period_ms", &util_period}, {"power_period_ms", &power_period}, {"energy_period_ms", &energy_period},
      {"power_limit_mw", &limit_mw}, {"mem_total", &total}, {"mem_reserved", &reserved}};
  for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (!strcmp(key, numbers[i].key)) *numbers[i].number = atof(value);
  if (!strcmp(key, "name")) snprintf(name, sizeof name, "%s", value);
  if (!strcmp(key, "uuid")) snprintf(uuid, sizeof uuid, "%s", value);
  if (!strcmp(key, "driver")) snprintf(driver, sizeof driver, "%s", value);
}

static int by_time(const void *a, const void *b) {
  double x = ((const row *)a)->ms, y = ((const row *)b)->ms;
  return (x > y) - (x < y);
}

static int load(const char *path) {
  FILE *f = fopen(path, "r");
  char line[512], key[64], value[96];
  if (!f) return UNKNOWN;
  while (fgets(line, sizeof line, f)) {
    row r = {0};
    proc p = {0};
    failure x = {0};
    unsigned field;
    if (*line == '#' || *line == '\n') continue;
    if (sscanf(line, "set %63s %95[^\n]", key, value) == 2) setting(key, value);
    else if (sscanf(line, "proc %lf %lf %u %lf", &p.from, &p.to, &p.pid, &p.bytes) == 4) { if (nprocs < 64) procs[nprocs++] = p; }
    else if (sscanf(line, "fail %lf %lf %63s %d", &x.from, &x.to, x.function, &x.code) == 4) { if (nfailures < 64) failures[nfailures++] = x; }
    else if (sscanf(line, "hang %lf %lf %63s", &x.from, &x.to, x.function) == 3) { x.hang = 1; if (nfailures < 64) failures[nfailures++] = x; }
    else if (sscanf(line, "field %u %63s", &field, key) == 2) { if (!strcmp(key, "none") && nlacks < 64) lacks[nlacks++] = field; }
    else if (sscanf(line, "%lf %lf %lf %lf %lf %lf %lf %lf %llx", &r.ms, &r.gpu, &r.mem, &r.mw, &r.used, &r.temp, &r.sm, &r.memclk, &r.reasons) >= 4) { if (nrows < 4096) rows[nrows++] = r; }
    else { fprintf(stderr, "fakenvml: cannot read: %s", line); fclose(f); return UNKNOWN; }
  }
  fclose(f);
  qsort(rows, nrows, sizeof *rows, by_time);
  return nrows ? SUCCESS : UNKNOWN;
}

static row *at(double ms) {
  int i = 0;
  while (i + 1 < nrows && rows[i + 1].ms <= ms) i++;
  return &rows[i];
}

static double grid(double ms, double period) { return period * (double)(int64_t)(ms / period); }

static double joules(double ms) {
  double sum = 0;
  for (int i = 0; i < nrows; i++) {
    double from = i ? rows[i].ms : 0, to = ms;
    if (i + 1 < nrows && rows[i + 1].ms < to) to = rows[i + 1].ms;
    if (to > from) sum += rows[i].mw / 1e3 * (to - from) / 1e3;
  }
  return sum;
}

/* What a function is told to do wrong at this moment: fail, or hang. */
static int trouble(const char *function) {
  double ms = now_ms();
  for (int i = 0; i < nfailures; i++) {
    failure *x = &failures[i];
    if (ms < x->from || ms >= x->to || (strcmp(x->function, function) && (strcmp(x->function, "*") || !strcmp(function, "nvmlInit_v2")))) continue;
    if (!x->hang) return x->code;
    while (now_ms() < x->to) usleep(10000);
  }
  return SUCCESS;
}

/* Every device call passes here. */
static int gate(const char *function, void *handle) {
  if (!references) return UNINITIALIZED;
  if (handle != &device) return INVALID_ARGUMENT;
  return trouble(function);
}
#define GATE(handle) do { int g = gate(__func__, handle); if (g) return g; } while (0)

#ifndef WITHOUT_INIT
int nvmlInit_v2(void) {
  const char *trace = getenv("FAKENVML_TRACE"), *code = getenv("FAKENVML_INIT_RET");
  if (code && atoi(code)) return atoi(code);
  if (references++) return SUCCESS;
  clock_gettime(CLOCK_MONOTONIC, &start);
  int result = trace ? load(trace) : UNKNOWN;
  return result ? result : trouble(__func__);
}
#endif
int nvmlShutdown(void) { return references ? (references--, SUCCESS) : UNINITIALIZED; }
const char *nvmlErrorString(int code) {
  static char text[32];
  snprintf(text, sizeof text, "fake error %d", code);
  return text;
}
static int copy(char *out, unsigned n, const char *text) {
  if (strlen(text) >= n) return INSUFFICIENT_SIZE;
  strcpy(out, text);
  return SUCCESS;
}
int nvmlSystemGetDriverVersion(char *out, unsigned n) { return copy(out, n, driver); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12080; return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 1; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **handle) { *handle = &device; return i ? INVALID_ARGUMENT : SUCCESS; }
int nvmlDeviceGetName(void *h, char *out, unsigned n) { GATE(h); return copy(out, n, name); }
int nvmlDeviceGetUUID(void *h, char *out, unsigned n) { GATE(h); return copy(out, n, uuid); }
int nvmlDeviceGetEnforcedPowerLimit(void *h, unsigned *mw) { GATE(h); *mw = limit_mw; return SUCCESS; }
int nvmlDeviceGetUtilizationRates(void *h, utilization *u) {
  GATE(h);
  row *r = at(grid(now_ms(), util_period));
  u->gpu = r->gpu;
  u->memory = r->mem;
  return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(void *h, memory_v2 *m) {
  GATE(h);
  if (m->version != 0x02000028) return 25;
  m->total = total;
  m->reserved = reserved;
  m->used = at(now_ms())->used;
  m->free = m->total - m->reserved - m->used;
  return SUCCESS;
}
int nvmlDeviceGetTemperature(void *h, int sensor, unsigned *t) { GATE(h); *t = at(now_ms())->temp; return sensor ? INVALID_ARGUMENT : SUCCESS; }
int nvmlDeviceGetCurrentClocksEventReasons(void *h, unsigned long long *bits) { GATE(h); *bits = at(now_ms())->reasons; return SUCCESS; }
int nvmlDeviceGetFieldValues(void *h, int n, field_value *v) {
  GATE(h);
  double ms = now_ms();
  for (int i = 0; i < n; i++) {
    v[i].ret = SUCCESS;
    for (int k = 0; k < nlacks; k++) if (lacks[k] == v[i].field) v[i].ret = NOT_SUPPORTED;
    if (v[i].ret) continue;
    switch (v[i].field) {
      case 186: v[i].type = 1; v[i].value.u = at(grid(ms, power_period))->mw; break;
      case 83: v[i].type = 3; v[i].value.u64 = 1000000000 + joules(grid(ms, energy_period)) * 1e3; break;
      default: v[i].ret = NOT_SUPPORTED;
    }
  }
  return SUCCESS;
}
int nvmlDeviceGetTotalEnergyConsumption(void *h, unsigned long long *mj) { GATE(h); *mj = 1000000000 + joules(grid(now_ms(), energy_period)) * 1e3; return SUCCESS; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *h, unsigned *n, process_info *out) {
  GATE(h);
  double ms = now_ms();
  unsigned room = *n, need = 0;
  for (int i = 0; i < nprocs; i++) {
    if (ms < procs[i].from || ms >= procs[i].to || !procs[i].pid) continue;
    if (out && need < room) out[need] = (process_info){procs[i].pid, procs[i].bytes, -1, -1};
    need++;
  }
  *n = need;
  return need > room || (!out && need) ? INSUFFICIENT_SIZE : SUCCESS;
}
