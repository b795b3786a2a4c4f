/* A stand-in for the NVIDIA driver library that replays a text trace (see ../README.md). Tests build it with gcc and
 * load it through the same dlopen path as the real one. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"
#include "trace.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int references, loaded;
static double start_us, loaded_us;

static double clock_us(clockid_t which) {
  struct timespec t;
  clock_gettime(which, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

/* Time in the trace: set from outside, or since the moment that is given, or since the first start. */
static double now_ms(void) {
  const char *now = getenv("FAKENVML_NOW_MS"), *epoch = getenv("FAKENVML_EPOCH_US");
  if (now) return atof(now);
  double ms = (epoch ? clock_us(CLOCK_REALTIME) - atof(epoch) : clock_us(CLOCK_MONOTONIC) - start_us) / 1e3;
  return ms > 0 ? ms : 0;
}

static void call_log(const char *function) {
  const char *path = getenv("FAKENVML_CALLLOG");
  FILE *f = path ? fopen(path, "a") : 0;
  if (!f) return;
  fprintf(f, "%.0f %s\n", clock_us(CLOCK_MONOTONIC), function);
  fclose(f);
}

static void sleep_ms(double ms) { if (ms > 0) usleep(ms * 1e3); }

/* What a function is told to do wrong at this moment: to be slow, to hang, to fail. */
static int trouble(gpu *g, const char *function, int every) {
  sleep_ms(g->call_latency_us / 1e3);
  double ms = now_ms();
  for (int i = 0; i < g->faults.n; i++) {
    fault *f = &g->faults.at[i];
    if (ms < f->from || ms >= f->to || (strcmp(f->function, function) && (!every || strcmp(f->function, "*")))) continue;
    if (!strcmp(f->kind, "slow")) sleep_ms(f->value);
    else if (!strcmp(f->kind, "hang")) while (now_ms() < f->to) usleep(10000);
    else return f->value;
  }
  return SUCCESS;
}

static gpu *of(void *handle) { return (gpu *)handle >= gpus && (gpu *)handle < gpus + ngpus ? handle : 0; }

/* Every device call passes here. */
static int gate(const char *function, void *handle) {
  call_log(function);
  if (!references) return UNINITIALIZED;
  return of(handle) ? trouble(handle, function, 1) : INVALID_ARGUMENT;
}
#define GATE(handle) do { int code = gate(__func__, handle); if (code) return code; } while (0)
#define API __attribute__((visibility("default")))

API int nvmlInit_v2(void) {
  const char *trace = getenv("FAKENVML_TRACE"), *code = getenv("FAKENVML_INIT_RET");
  if (code && atoi(code)) return atoi(code);
  pthread_mutex_lock(&lock);
  int result = SUCCESS;
  if (!references) {
    start_us = clock_us(CLOCK_MONOTONIC), loaded_us = clock_us(CLOCK_REALTIME);
    if (!loaded) result = trace ? trace_load(trace) : UNKNOWN, loaded = !result;
    if (!result) result = trouble(&gpus[0], __func__, 0);
  }
  if (!result) references++;
  pthread_mutex_unlock(&lock);
  return result;
}
API int nvmlInitWithFlags(unsigned flags) { return flags ? INVALID_ARGUMENT : nvmlInit_v2(); }
API int nvmlShutdown(void) { return references ? (references--, SUCCESS) : UNINITIALIZED; }
API const char *nvmlErrorString(int code) {
  static char text[32];
  snprintf(text, sizeof text, "fake error %d", code);
  return text;
}
static int copy(char *out, unsigned n, const char *text) {
  if (!out) return INVALID_ARGUMENT;
  if (strlen(text) >= n) return INSUFFICIENT_SIZE;
  strcpy(out, text);
  return SUCCESS;
}
API int nvmlSystemGetDriverVersion(char *out, unsigned n) { return copy(out, n, driver); }
API int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12080; return SUCCESS; }
API int nvmlDeviceGetCount_v2(unsigned *n) { *n = ngpus; return trouble(&gpus[0], __func__, 0); }
API int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **handle) {
  if (i >= (unsigned)ngpus) return INVALID_ARGUMENT;
  *handle = &gpus[i];
  return trouble(&gpus[i], __func__, 0);
}

/* A part of a split GPU is named by its own address inside the GPU that it is part of. */
API int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
  for (int i = 0; i < ngpus; i++) {
    if (!strcmp(uuid, gpus[i].uuid)) return *handle = &gpus[i], SUCCESS;
    if (*uuid && !strcmp(uuid, gpus[i].mig_uuid)) return *handle = gpus[i].mig_uuid, SUCCESS;
  }
  return NOT_FOUND;
}
API int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *part, void **handle) {
  for (int i = 0; i < ngpus; i++)
    if (part == gpus[i].mig_uuid) return *handle = &gpus[i], SUCCESS;
  return INVALID_ARGUMENT;
}
API int nvmlDeviceGetName(void *h, char *out, unsigned n) { GATE(h); return copy(out, n, of(h)->name); }
API int nvmlDeviceGetUUID(void *h, char *out, unsigned n) { GATE(h); return copy(out, n, of(h)->uuid); }
API int nvmlDeviceGetIndex(void *h, unsigned *i) { GATE(h); *i = of(h)->index; return SUCCESS; }
API int nvmlDeviceGetMigMode(void *h, unsigned *now, unsigned *pending) { GATE(h); *now = *pending = of(h)->mig != 0; return SUCCESS; }
API int nvmlDeviceGetVirtualizationMode(void *h, int *mode) { GATE(h); *mode = of(h)->vgpu ? 2 : 0; return SUCCESS; }
API int nvmlDeviceGetEnforcedPowerLimit(void *h, unsigned *mw) { GATE(h); *mw = of(h)->power_limit_mw; return SUCCESS; }
API int nvmlDeviceGetPowerManagementLimit(void *h, unsigned *mw) { GATE(h); *mw = of(h)->power_limit_mw; return SUCCESS; }
API int nvmlDeviceGetPerformanceState(void *h, int *state) { GATE(h); *state = of(h)->pstate; return SUCCESS; }
API int nvmlDeviceGetPersistenceMode(void *h, int *mode) { GATE(h); *mode = 1; return SUCCESS; }
API int nvmlDeviceGetArchitecture(void *h, unsigned *arch) { GATE(h); *arch = 9; return SUCCESS; }
API int nvmlDeviceGetCudaComputeCapability(void *h, int *major, int *minor) { GATE(h); *major = 9, *minor = 0; return SUCCESS; }
API int nvmlDeviceGetPowerUsage(void *h, unsigned *mw) {
  GATE(h);
  double v;
  int code = field_at(of(h), 185, 0, now_ms(), &v);
  *mw = v;
  return code;
}

API int nvmlDeviceGetUtilizationRates(void *h, fake_utilization *u) {
  GATE(h);
  gpu *g = of(h);
  if (g->mig) return NOT_SUPPORTED;
  row *r = row_at(g, grid(now_ms(), g->util_period_ms));
  u->gpu = r->v[UTIL], u->memory = r->v[MEM_UTIL];
  return SUCCESS;
}

/* Of the samples that a driver keeps only utilisation is there: types 1 and 2, the last 120 of them. */
API int nvmlDeviceGetSamples(void *h, int type, unsigned long long seen, int *value_type, unsigned *n, fake_sample *out) {
  GATE(h);
  gpu *g = of(h);
  enum { KEPT = 120 };
  if (!n) return INVALID_ARGUMENT;
  if (g->mig || (type != 1 && type != 2)) return NOT_SUPPORTED;
  *value_type = 1;
  if (!out) return *n = KEPT, SUCCESS;
  const char *epoch = getenv("FAKENVML_EPOCH_US");
  double period = g->util_period_ms, newest = floor(now_ms() / period), began = getenv("FAKENVML_NOW_MS") ? 1e6 : epoch ? atof(epoch) : loaded_us;
  unsigned written = 0;
  for (double k = newest - KEPT + 1 > 0 ? newest - KEPT + 1 : 0; k <= newest && written < *n; k++) {
    uint64_t at = began + k * period * 1e3;
    if (at <= seen) continue;
    out[written].at = at;
    out[written++].value.u64 = (unsigned)row_at(g, k * period)->v[type == 1 ? UTIL : MEM_UTIL];
  }
  *n = written;
  return written ? SUCCESS : NOT_FOUND;
}
API int nvmlDeviceGetMemoryInfo_v2(void *h, fake_memory_v2 *m) {
  GATE(h);
  gpu *g = of(h);
  if (m->version != 0x02000028) return VERSION_MISMATCH;
  m->total = g->mem_total, m->reserved = g->mem_reserved, m->used = row_at(g, now_ms())->v[USED];
  m->free = m->total - m->reserved - m->used;
  return SUCCESS;
}
API int nvmlDeviceGetTemperature(void *h, int sensor, unsigned *t) { GATE(h); *t = row_at(of(h), now_ms())->v[TEMP]; return sensor ? INVALID_ARGUMENT : SUCCESS; }
API int nvmlDeviceGetTemperatureV(void *h, fake_temperature *t) {
  GATE(h);
  if (t->version != 0x0100000c) return VERSION_MISMATCH;
  t->celsius = row_at(of(h), now_ms())->v[TEMP];
  return SUCCESS;
}
API int nvmlDeviceGetClockInfo(void *h, int type, unsigned *mhz) { GATE(h); *mhz = row_at(of(h), now_ms())->v[type == 2 ? MEM_CLOCK : SM_CLOCK]; return SUCCESS; }
API int nvmlDeviceGetMaxClockInfo(void *h, int type, unsigned *mhz) { GATE(h); *mhz = type == 2 ? 2619 : of(h)->max_sm_mhz; return SUCCESS; }
API int nvmlDeviceGetCurrentClocksEventReasons(void *h, unsigned long long *bits) { GATE(h); *bits = row_at(of(h), now_ms())->v[REASONS]; return SUCCESS; }
API int nvmlDeviceGetCurrentClocksThrottleReasons(void *h, unsigned long long *bits) { GATE(h); *bits = row_at(of(h), now_ms())->v[REASONS]; return SUCCESS; }
API int nvmlDeviceGetTotalEnergyConsumption(void *h, unsigned long long *mj) { GATE(h); *mj = millijoules(of(h), now_ms()); return SUCCESS; }
API int nvmlDeviceGetTotalEccErrors(void *h, int kind, int counter, unsigned long long *n) {
  GATE(h);
  ecc now = ecc_at(of(h), now_ms());
  *n = kind == 0 ? now.corrected : now.uncorrected;
  return counter ? NOT_SUPPORTED : SUCCESS;
}
API int nvmlDeviceGetFieldValues(void *h, int n, fake_field *v) {
  GATE(h);
  if (n <= 0 || !v) return INVALID_ARGUMENT;
  double ms = now_ms(), value;
  for (int i = 0; i < n; i++) {
    v[i].timestamp = clock_us(CLOCK_REALTIME), v[i].latency = 5;
    v[i].ret = field_at(of(h), v[i].field, v[i].scope, ms, &value);
    if (v[i].ret) continue;
    int narrow = v[i].field == 186 || v[i].field == 185 || v[i].field == 82;
    v[i].type = narrow ? 1 : 3;
    v[i].value.u64 = 0;
    if (narrow) v[i].value.u = value;
    else v[i].value.u64 = value;
  }
  return SUCCESS;
}

/* A process without a number is the one whose number a file holds. */
static unsigned number_of(proc *p) {
  const char *path = getenv("FAKENVML_PIDFILE");
  unsigned pid = p->pid;
  FILE *f = !pid && path ? fopen(path, "r") : 0;
  if (!f) return pid;
  if (fscanf(f, "%u", &pid) != 1) pid = 0;
  fclose(f);
  return pid;
}
API int nvmlDeviceGetComputeRunningProcesses_v3(void *h, unsigned *n, fake_process *out) {
  GATE(h);
  gpu *g = of(h);
  double ms = now_ms();
  unsigned room = *n, need = 0;
  for (int i = 0; i < g->procs.n; i++) {
    proc *p = &g->procs.at[i];
    unsigned pid = ms >= p->from && ms < p->to ? number_of(p) : 0;
    if (!pid) continue;
    if (out && need < room) out[need] = (fake_process){pid, p->bytes, -1, -1};
    need++;
  }
  *n = need;
  return need > room || (!out && need) ? INSUFFICIENT_SIZE : SUCCESS;
}

/* GPM: a sample is a moment. */
typedef struct { double ms; gpu *of; } moment;
API int nvmlGpmQueryDeviceSupport(void *h, fake_gpm_support *s) { GATE(h); s->supported = of(h)->gpm != 0; return SUCCESS; }
API int nvmlGpmSampleAlloc(moment **s) { *s = calloc(1, sizeof **s); return *s ? SUCCESS : UNKNOWN; }
API int nvmlGpmSampleFree(moment *s) { free(s); return SUCCESS; }
API int nvmlGpmSampleGet(void *h, moment *s) { GATE(h); *s = (moment){now_ms(), h}; return SUCCESS; }
API int nvmlGpmMetricsGet(fake_metrics_get *get) {
  moment *a = get->first, *b = get->second;
  static const unsigned ids[] = {2, 3, 5, 10};
  if (get->version != 1) return VERSION_MISMATCH;
  if (!a || !b || !a->of || a->of != b->of) return INVALID_ARGUMENT;
  GATE(a->of);
  for (unsigned i = 0; i < get->n; i++) {
    get->metrics[i].ret = NOT_SUPPORTED;
    for (int k = 0; k < 4; k++)
      if (get->metrics[i].id == ids[k]) get->metrics[i].ret = SUCCESS, get->metrics[i].value = column_mean(a->of, a->ms, b->ms, GPM + k);
  }
  return SUCCESS;
}

/* Reports of the driver: a set remembers until when it has told. */
typedef struct { double told; int wants[MAX_GPUS]; } event_set;
API int nvmlEventSetCreate(event_set **s) { *s = calloc(1, sizeof **s); return *s ? ((*s)->told = now_ms(), SUCCESS) : UNKNOWN; }
API int nvmlEventSetFree(event_set *s) { free(s); return SUCCESS; }
API int nvmlDeviceGetSupportedEventTypes(void *h, unsigned long long *types) { GATE(h); *types = 0xa | 0x4000 | 0x8000; return SUCCESS; }
API int nvmlDeviceRegisterEvents(void *h, unsigned long long types, event_set *s) { GATE(h); s->wants[of(h)->index] = types & 0xa; return SUCCESS; }
static int next_event(event_set *s, double ms, fake_event *out) {
  double first = ms;
  int found = 0;
  for (int g = 0; g < ngpus; g++) {
    for (int i = 0; i < gpus[g].xids.n && s->wants[g]; i++) {
      xid *x = &gpus[g].xids.at[i];
      if (x->ms > s->told && x->ms <= first) first = x->ms, found = 1, *out = (fake_event){&gpus[g], 0x8, x->code, -1, -1};
    }
    for (int i = 0; i < gpus[g].eccs.n && s->wants[g]; i++) {
      ecc *e = &gpus[g].eccs.at[i];
      if (e->uncorrected > (i ? e[-1].uncorrected : 0) && e->ms > s->told && e->ms <= first) first = e->ms, found = 1, *out = (fake_event){&gpus[g], 0x2, 0, -1, -1};
    }
  }
  if (found) s->told = first;
  return found;
}
API int nvmlEventSetWait_v2(event_set *s, fake_event *out, unsigned timeout) {
  call_log(__func__);
  if (!references) return UNINITIALIZED;
  for (double end = clock_us(CLOCK_MONOTONIC) + timeout * 1e3;;) {
    if (next_event(s, now_ms(), out)) return SUCCESS;
    if (clock_us(CLOCK_MONOTONIC) >= end) return TIMEOUT;
    usleep(2000);
  }
}
