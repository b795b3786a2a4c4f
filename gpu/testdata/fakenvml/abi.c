/* Compiled, never linked: the stand-in's structures are those of the real header. */
#include <nvml.h>

#include "fake.h"

#define SAME(real, fake) _Static_assert(sizeof(real) == sizeof(fake), #real)
#define PLACE(real, a, fake, b) _Static_assert(offsetof(real, a) == offsetof(fake, b), #real "." #a)
SAME(nvmlUtilization_t, fake_utilization);
SAME(nvmlMemory_v2_t, fake_memory_v2);
PLACE(nvmlMemory_v2_t, reserved, fake_memory_v2, reserved);
PLACE(nvmlMemory_v2_t, used, fake_memory_v2, used);
SAME(nvmlProcessInfo_t, fake_process);
PLACE(nvmlProcessInfo_t, usedGpuMemory, fake_process, used);
SAME(nvmlFieldValue_t, fake_field);
PLACE(nvmlFieldValue_t, scopeId, fake_field, scope);
PLACE(nvmlFieldValue_t, nvmlReturn, fake_field, ret);
PLACE(nvmlFieldValue_t, value, fake_field, value);
SAME(nvmlSample_t, fake_sample);
PLACE(nvmlSample_t, sampleValue, fake_sample, value);
SAME(nvmlTemperature_t, fake_temperature);
PLACE(nvmlTemperature_t, temperature, fake_temperature, celsius);
SAME(nvmlEventData_t, fake_event);
PLACE(nvmlEventData_t, eventData, fake_event, data);
SAME(nvmlGpmMetric_t, fake_metric);
PLACE(nvmlGpmMetric_t, value, fake_metric, value);
SAME(nvmlGpmMetricsGet_t, fake_metrics_get);
PLACE(nvmlGpmMetricsGet_t, metrics, fake_metrics_get, metrics);
SAME(nvmlGpmSupport_t, fake_gpm_support);
