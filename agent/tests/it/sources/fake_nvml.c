/* A stand-in for NVML: two GPUs, one without a temperature. */
#include <stdlib.h>
#include <string.h>

static int cards[2] = {0, 1};

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **card) {
    if (index > 1) return 2;
    *card = &cards[index];
    return 0;
}
int nvmlDeviceGetUUID(void *card, char *uuid, unsigned length) {
    const char *own = *(int *)card ? "GPU-2b3c4d5e-0000-0000-0000-000000000002" : "GPU-1a2b3c4d-0000-0000-0000-000000000001";
    strncpy(uuid, own, length);
    return 0;
}
int nvmlDeviceGetName(void *card, char *name, unsigned length) {
    (void)card;
    strncpy(name, "Test Card 9000", length);
    return 0;
}
int nvmlDeviceGetTemperature(void *card, int sensor, unsigned *degrees) {
    (void)sensor;
    if (*(int *)card) return 15; /* NVML_ERROR_GPU_IS_LOST */
    *degrees = 61;
    return 0;
}
int nvmlDeviceGetTemperatureThreshold(void *card, int which, unsigned *degrees) {
    (void)card;
    if (which > 1) return 3; /* NVML_ERROR_NOT_SUPPORTED */
    *degrees = which == 0 ? 95 : 90;
    return 0;
}
