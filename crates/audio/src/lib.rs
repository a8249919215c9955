//! An audio file, as log-mel: decode, mix, resample, window, spectrogram
