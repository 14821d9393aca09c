#pragma once

/// The version of this SDK. A flow binary carries it, and a cluster refuses one that it
/// cannot speak to.
#define SLUICE_VERSION "0.1.0"
