/* A text trace and what it says at a moment; ../README.md names the format. */
#include <stdint.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10, VERSION_MISMATCH = 25, UNKNOWN = 999 };
enum { UTIL, MEM_UTIL, POWER, USED, TEMP, SM_CLOCK, MEM_CLOCK, REASONS, TX, RX, GPM, COLUMNS = GPM + 4 };
enum { MAX_GPUS = 64 };

typedef struct { double ms, v[COLUMNS]; } row;
typedef struct { double from, to; unsigned pid; double bytes; } proc;
typedef struct { char kind[8]; double from, to, value; char function[64]; } fault;
typedef struct { unsigned id; int none, module; double ms, value; } said; /* of a field; ms < 0: no value */
typedef struct { double ms; unsigned code; } xid;
typedef struct { double ms, corrected, uncorrected; } ecc;

/* A list that grows. */
#define LIST(type) struct { type *at; int n, room; }

typedef struct gpu {
  int index;
  char name[96], uuid[96], mig_uuid[96];
  double power_limit_mw, mem_total, mem_reserved, max_sm_mhz, pstate, util_period_ms, power_period_ms, energy_period_ms, power_avg_ms, call_latency_us, mig, vgpu, gpm, pcie_wrap;
  LIST(row) rows;
  LIST(proc) procs;
  LIST(fault) faults;
  LIST(said) fields;
  LIST(xid) xids;
  LIST(ecc) eccs;
  LIST(double) resets;
} gpu;

extern gpu gpus[MAX_GPUS];
extern int ngpus;
extern char driver[96];

int trace_load(const char *path); /* a code; complains on stderr of the line that it cannot read */
row *row_at(gpu *g, double ms);
double grid(double ms, double period);
double column_mean(gpu *g, double from, double to, int column);
uint64_t millijoules(gpu *g, double ms);
int field_at(gpu *g, unsigned id, unsigned scope, double ms, double *value);
ecc ecc_at(gpu *g, double ms);
