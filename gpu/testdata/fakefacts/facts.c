/* How a GPU is set up, for the tests of what is read once: linked beside the fake driver, whose own answers win. */
#define SUCCESS 0
#define WEAK __attribute__((weak))
#define UNUSED(x) ((void)(x))

WEAK int nvmlDeviceGetPersistenceMode(void *h, int *on) { UNUSED(h); *on = 0; return SUCCESS; }
WEAK int nvmlDeviceGetEccMode(void *h, int *now, int *pending) { UNUSED(h); *now = *pending = 1; return SUCCESS; }
WEAK int nvmlDeviceGetMigMode(void *h, unsigned *now, unsigned *pending) { UNUSED(h); *now = *pending = 1; return SUCCESS; }
WEAK int nvmlDeviceGetVirtualizationMode(void *h, int *mode) { UNUSED(h); *mode = 1; return SUCCESS; } /* passed through whole */
WEAK int nvmlDeviceGetVbiosVersion(void *h, char *out, unsigned n) {
	const char *text = "96.00.74.00.01";
	UNUSED(h);
	for (unsigned i = 0; i < n; i++)
		if (!(out[i] = text[i])) return SUCCESS;
	return 7; /* insufficient size */
}
WEAK int nvmlDeviceGetMaxPcieLinkGeneration(void *h, unsigned *n) { UNUSED(h); *n = 5; return SUCCESS; }
WEAK int nvmlDeviceGetCurrPcieLinkWidth(void *h, unsigned *n) { UNUSED(h); *n = 8; return SUCCESS; }
WEAK int nvmlDeviceGetMaxPcieLinkWidth(void *h, unsigned *n) { UNUSED(h); *n = 16; return SUCCESS; }
WEAK int nvmlDeviceGetPowerManagementDefaultLimit(void *h, unsigned *mw) { UNUSED(h); *mw = 750000; return SUCCESS; }
WEAK int nvmlDeviceGetMaxClockInfo(void *h, int type, unsigned *mhz) { UNUSED(h); UNUSED(type); *mhz = 1980; return SUCCESS; }
WEAK int nvmlDeviceGetApplicationsClock(void *h, int type, unsigned *mhz) { UNUSED(h); UNUSED(type); *mhz = 1410; return SUCCESS; }
WEAK int nvmlDeviceGetDefaultApplicationsClock(void *h, int type, unsigned *mhz) { UNUSED(h); UNUSED(type); *mhz = 1980; return SUCCESS; }
