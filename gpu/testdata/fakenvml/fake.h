/* The structures of the driver's interface, written from their sizes and offsets. abi.c holds them against the real ones. */
#include <stddef.h>
#include <stdint.h>

typedef struct { unsigned gpu, memory; } fake_utilization;
typedef struct { unsigned version; uint64_t total, reserved, free, used; } fake_memory_v2;
typedef struct { unsigned pid; uint64_t used; unsigned instance, compute; } fake_process;
typedef struct { unsigned field, scope; int64_t timestamp, latency; unsigned type; int ret; union { double d; unsigned u; uint64_t u64; } value; } fake_field;
typedef struct { uint64_t at; union { double d; unsigned u; uint64_t u64; } value; } fake_sample;
typedef struct { unsigned version, sensor; int celsius; } fake_temperature;
typedef struct { void *device; uint64_t type, data; unsigned instance, compute; } fake_event;
typedef struct { unsigned id; int ret; double value; char *info[3]; } fake_metric;
typedef struct { unsigned version, n; void *first, *second; fake_metric metrics[477]; } fake_metrics_get;
typedef struct { unsigned version, supported; } fake_gpm_support;

_Static_assert(sizeof(fake_utilization) == 8 && sizeof(fake_memory_v2) == 40 && sizeof(fake_process) == 24, "sizes");
_Static_assert(sizeof(fake_field) == 40 && offsetof(fake_field, type) == 24 && offsetof(fake_field, value) == 32, "nvmlFieldValue_t");
_Static_assert(sizeof(fake_sample) == 16 && sizeof(fake_temperature) == 12 && sizeof(fake_event) == 32, "sizes");
_Static_assert(sizeof(fake_metric) == 40 && sizeof(fake_metrics_get) == 19104 && sizeof(fake_gpm_support) == 8, "sizes");
