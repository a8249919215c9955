//! What is counted, under the names that boards for text-embeddings-inference know, and ours beside
//! them.
//!
//! `te_request_duration` and its kin are histograms in seconds, with the buckets of that server:
//! from 0.1 ms, each half as long again.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

/// Recorder and the handles that every request touches.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    // Rendering folds what was recorded into the histograms, one at a time.
    rendering: Mutex<()>,
    queue_size: Gauge,
    batch_size: Histogram,
    batch_tokens: Histogram,
    inference: Histogram,
    pairs: Counter,
    sound_seconds: Counter,
    decode: Histogram,
    search: Histogram,
}

/// What a request was for; TEI keeps these apart in its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Vectors.
    Embed,
    /// Scores of pairs.
    Predict,
}

/// Where the time of a request went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) tokens: usize,
    pub(crate) characters: usize,
    pub(crate) total: Duration,
    /// Tokenizing, and decoding sound.
    pub(crate) prepared: Duration,
    pub(crate) queued: Duration,
    pub(crate) computed: Duration,
}

const METADATA: Metadata<'static> = Metadata::new("aurola", Level::INFO, None);

const DESCRIPTIONS: &[(&str, &str)] = &[
    ("te_request_count", "Requests for the model"),
    (
        "te_request_success",
        "Requests for the model that were answered",
    ),
    (
        "te_request_failure",
        "Requests that were refused, by reason",
    ),
    ("te_request_duration", "Seconds from request to answer"),
    (
        "te_request_tokenization_duration",
        "Seconds of tokenizing and decoding",
    ),
    ("te_request_queue_duration", "Seconds in the queue"),
    ("te_request_inference_duration", "Seconds at the model"),
    ("te_request_input_length", "Tokens of a request"),
    ("te_embed_count", "Inputs to embed"),
    (
        "te_embed_success",
        "Requests for embeddings that were answered",
    ),
    (
        "te_embed_duration",
        "Seconds from request to answer, embeddings",
    ),
    (
        "te_embed_tokenization_duration",
        "Seconds of tokenizing and decoding, embeddings",
    ),
    (
        "te_embed_queue_duration",
        "Seconds in the queue, embeddings",
    ),
    (
        "te_embed_inference_duration",
        "Seconds at the model, embeddings",
    ),
    ("te_predict_count", "Pairs to judge"),
    (
        "te_predict_success",
        "Requests for judgements that were answered",
    ),
    (
        "te_predict_duration",
        "Seconds from request to answer, judgements",
    ),
    (
        "te_predict_tokenization_duration",
        "Seconds of tokenizing and decoding, judgements",
    ),
    (
        "te_predict_queue_duration",
        "Seconds in the queue, judgements",
    ),
    (
        "te_predict_inference_duration",
        "Seconds at the model, judgements",
    ),
    ("te_queue_size", "Inputs that wait for the model"),
    ("te_batch_next_size", "Inputs of a batch"),
    ("te_batch_next_tokens", "Tokens of a batch"),
    (
        "te_batch_inference_duration",
        "Seconds of a batch at the model",
    ),
    ("aurola_http_requests_total", "Answers, by route and status"),
    (
        "aurola_http_request_seconds",
        "Seconds from head to answer, by route",
    ),
    (
        "aurola_audio_seconds_total",
        "Seconds of sound decoded for requests",
    ),
    (
        "aurola_decode_seconds",
        "Seconds to decode a sound of a request",
    ),
    (
        "aurola_search_seconds",
        "Seconds of a search without its model time",
    ),
    ("aurola_rerank_pairs_total", "Pairs judged"),
    ("aurola_index_files", "Files in the index"),
    ("aurola_panics_total", "Handlers that panicked; must stay 0"),
    ("aurola_build_info", "Version and model"),
];

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut buckets = vec![0.000_1];
        while let Some(last) = buckets.last().filter(|last| **last < 300.0) {
            buckets.push(last * 1.5);
        }
        let lengths: Vec<f64> = (0..17).map(|power| f64::from(1 << power)).collect();
        // An empty list of buckets is the only thing these refuse.
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_duration".into()), &buckets)
            .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &buckets))
            .and_then(|b| {
                b.set_buckets_for_metric(Matcher::Full("te_request_input_length".into()), &lengths)
            })
            .and_then(|b| {
                b.set_buckets_for_metric(Matcher::Prefix("te_batch_next".into()), &lengths)
            })
            .expect("the buckets are not empty")
            .build_recorder();
        for (name, words) in DESCRIPTIONS {
            let (key, words) = (KeyName::from_const_str(name), (*words).into());
            if name.ends_with("_total") || name.ends_with("_count") || name.ends_with("_success") {
                recorder.describe_counter(key, None, words);
            } else if name.ends_with("_duration") || name.ends_with("_seconds") {
                recorder.describe_histogram(key, Some(Unit::Seconds), words);
            } else {
                recorder.describe_gauge(key, None, words);
            }
        }
        let histogram =
            |name: &'static str| recorder.register_histogram(&Key::from_name(name), &METADATA);
        let counter =
            |name: &'static str| recorder.register_counter(&Key::from_name(name), &METADATA);
        Self {
            queue_size: recorder.register_gauge(&Key::from_name("te_queue_size"), &METADATA),
            batch_size: histogram("te_batch_next_size"),
            batch_tokens: histogram("te_batch_next_tokens"),
            inference: histogram("te_batch_inference_duration"),
            pairs: counter("aurola_rerank_pairs_total"),
            sound_seconds: counter("aurola_audio_seconds_total"),
            decode: histogram("aurola_decode_seconds"),
            search: histogram("aurola_search_seconds"),
            rendering: Mutex::new(()),
            recorder,
        }
    }

    /// The text that Prometheus reads.
    pub(crate) fn render(&self) -> String {
        let _one = self
            .rendering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let handle = self.recorder.handle();
        handle.run_upkeep();
        handle.render()
    }

    /// Folds what was recorded; until then it takes memory.
    pub(crate) fn upkeep(&self) {
        let _one = self
            .rendering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.recorder.handle().run_upkeep();
    }

    pub(crate) fn build(&self, version: &'static str, model: &str) {
        let labels = vec![
            Label::from_static_parts("version", version),
            Label::new("model", model.to_owned()),
        ];
        self.gauge("aurola_build_info", labels).set(1.0);
    }

    pub(crate) fn queue_size(&self, inputs: usize) {
        self.queue_size.set(inputs as f64);
    }

    pub(crate) fn batch(&self, inputs: usize, tokens: usize) {
        self.batch_size.record(inputs as f64);
        self.batch_tokens.record(tokens as f64);
    }

    pub(crate) fn inference(&self, took: Duration) {
        self.inference.record(took.as_secs_f64());
    }

    pub(crate) fn pairs(&self, pairs: usize) {
        self.pairs.increment(pairs as u64);
    }

    pub(crate) fn decoded(&self, seconds: f64, took: Duration) {
        // Whole seconds: the counter counts in integers.
        self.sound_seconds.increment(seconds.ceil() as u64);
        self.decode.record(took.as_secs_f64());
    }

    pub(crate) fn searched(&self, took: Duration) {
        self.search.record(took.as_secs_f64());
    }

    pub(crate) fn index_files(&self, files: u64) {
        self.gauge("aurola_index_files", Vec::new())
            .set(files as f64);
    }

    pub(crate) fn panicked(&self) {
        self.counter("aurola_panics_total", Vec::new()).increment(1);
    }

    /// An answer, whatever it was.
    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        let label = Label::new("route", route.to_owned());
        let labels = vec![label.clone(), Label::new("status", status.to_string())];
        self.counter("aurola_http_requests_total", labels)
            .increment(1);
        let key = Key::from_parts("aurola_http_request_seconds", vec![label]);
        self.recorder
            .register_histogram(&key, &METADATA)
            .record(took.as_secs_f64());
    }

    /// A request for the model begins: so many inputs, in one list or alone.
    pub(crate) fn asked(&self, work: Work, inputs: usize) {
        let method = if inputs == 1 { "single" } else { "batch" };
        let labels = vec![Label::from_static_parts("method", method)];
        self.counter("te_request_count", labels).increment(1);
        self.counter(work.name("count"), Vec::new())
            .increment(inputs as u64);
    }

    /// It was answered.
    pub(crate) fn done(&self, work: Work, inputs: usize, times: &Times) {
        let method = if inputs == 1 { "single" } else { "batch" };
        let labels = vec![Label::from_static_parts("method", method)];
        self.counter("te_request_success", labels).increment(1);
        self.counter(work.name("success"), Vec::new()).increment(1);
        self.length(times.tokens);
        for (request, own, took) in [
            ("te_request_duration", "duration", times.total),
            (
                "te_request_tokenization_duration",
                "tokenization_duration",
                times.prepared,
            ),
            ("te_request_queue_duration", "queue_duration", times.queued),
            (
                "te_request_inference_duration",
                "inference_duration",
                times.computed,
            ),
        ] {
            self.time(request, took);
            self.time(work.name(own), took);
        }
    }

    /// It was refused; `why` as TEI names it.
    pub(crate) fn refused(&self, why: &'static str) {
        let labels = vec![Label::from_static_parts("err", why)];
        self.counter("te_request_failure", labels).increment(1);
    }

    fn length(&self, tokens: usize) {
        self.recorder
            .register_histogram(&Key::from_name("te_request_input_length"), &METADATA)
            .record(tokens as f64);
    }

    fn time(&self, name: &'static str, took: Duration) {
        self.recorder
            .register_histogram(&Key::from_name(name), &METADATA)
            .record(took.as_secs_f64());
    }

    fn counter(&self, name: &'static str, labels: Vec<Label>) -> Counter {
        self.recorder
            .register_counter(&Key::from_parts(name, labels), &METADATA)
    }

    fn gauge(&self, name: &'static str, labels: Vec<Label>) -> Gauge {
        self.recorder
            .register_gauge(&Key::from_parts(name, labels), &METADATA)
    }
}

impl Work {
    /// The name of a metric of this kind of work.
    fn name(self, of: &'static str) -> &'static str {
        match (self, of) {
            (Self::Embed, "count") => "te_embed_count",
            (Self::Embed, "success") => "te_embed_success",
            (Self::Embed, "tokenization_duration") => "te_embed_tokenization_duration",
            (Self::Embed, "queue_duration") => "te_embed_queue_duration",
            (Self::Embed, "inference_duration") => "te_embed_inference_duration",
            (Self::Embed, _) => "te_embed_duration",
            (Self::Predict, "count") => "te_predict_count",
            (Self::Predict, "success") => "te_predict_success",
            (Self::Predict, "tokenization_duration") => "te_predict_tokenization_duration",
            (Self::Predict, "queue_duration") => "te_predict_queue_duration",
            (Self::Predict, "inference_duration") => "te_predict_inference_duration",
            (Self::Predict, _) => "te_predict_duration",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_the_names_of_tei_and_ours() {
        let metrics = Metrics::new();
        metrics.asked(Work::Embed, 2);
        metrics.done(
            Work::Embed,
            2,
            &Times {
                tokens: 7,
                total: Duration::from_millis(5),
                ..Times::default()
            },
        );
        metrics.queue_size(3);
        metrics.refused("overloaded");
        let text = metrics.render();
        for line in [
            "te_request_count{method=\"batch\"} 1",
            "te_embed_count 2",
            "te_request_success{method=\"batch\"} 1",
            "te_request_failure{err=\"overloaded\"} 1",
            "te_queue_size 3",
            "te_request_duration_count 1",
            "te_request_input_length_sum 7",
            "te_embed_queue_duration_bucket{le=\"+Inf\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
