//! `metrics.jsonl`: its words, and that nothing whole is lost and nothing torn is believed.

use std::fs::{self, OpenOptions};
use std::io::Write;

use aurola_train::report::{
    MetricsLine, MetricsLog, MetricsTail, Record, ReportError, RunEvent, StepRecord,
    ValidationRecord, read_metrics,
};
use proptest::prelude::*;

use crate::{event, step, validation};

fn records(lines: Vec<MetricsLine>) -> Vec<Record> {
    lines.into_iter().map(|line| line.record).collect()
}

/// A run of three steps and what happened around them.
fn run() -> Vec<Record> {
    vec![
        event(0, RunEvent::Started { total_steps: 3 }),
        Record::Step(step(1)),
        event(1, RunEvent::OutOfMemory { chunk: 8 }),
        Record::Step(step(2)),
        Record::Validation(validation(2)),
        Record::Step(step(3)),
        event(3, RunEvent::Finished),
    ]
}

fn write(log: &mut MetricsLog, records: &[Record]) {
    for record in records {
        log.append(record).unwrap();
    }
}

#[test]
fn lines_by_hand() {
    let line = |record: &Record| {
        let line = MetricsLine {
            unix_s: 5.5,
            record: record.clone(),
        };
        serde_json::to_string(&line).unwrap()
    };
    assert_eq!(
        line(&Record::Step(step(2))),
        r#"{"unix_s":5.5,"kind":"step","step":2,"epoch":0.02,"loss":2.0,"learning_rate":0.000015,"gradient_norm":0.75,"audio_seconds":160.0,"audio_seconds_per_s":320.0,"pairs_per_s":64.0,"step_s":0.5,"wait_s":0.05,"skipped":0,"chunk":16}"#
    );
    assert_eq!(
        line(&event(7, RunEvent::OutOfMemory { chunk: 8 })),
        r#"{"unix_s":5.5,"kind":"event","step":7,"event":"out_of_memory","chunk":8}"#
    );
    assert_eq!(
        line(&event(9, RunEvent::Finished)),
        r#"{"unix_s":5.5,"kind":"event","step":9,"event":"finished"}"#
    );
    let scores = [("t2a_r1".to_owned(), f64::NAN)].into();
    let odd = ValidationRecord {
        scores,
        ..validation(4)
    };
    assert_eq!(
        line(&Record::Validation(odd)),
        r#"{"unix_s":5.5,"kind":"validation","step":4,"name":"clotho","scores":{"t2a_r1":null}}"#
    );
}

#[test]
fn a_run_is_read_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut log = MetricsLog::create(&path).unwrap();
    write(&mut log, &run());
    let lines = read_metrics(&path).unwrap();
    assert!(lines.iter().all(|line| line.unix_s > 1.7e9));
    assert_eq!(records(lines), run());
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 7);
}

#[test]
fn every_line_is_there_once_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut log = MetricsLog::create(&path).unwrap();
    for (at, record) in run().iter().enumerate() {
        log.append(record).unwrap();
        assert_eq!(read_metrics(&path).unwrap().len(), at + 1);
    }
}

#[test]
fn a_loss_that_is_no_number_is_kept_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let odd = StepRecord {
        loss: f64::NAN,
        gradient_norm: f64::INFINITY,
        extra: [("margin".to_owned(), f64::NEG_INFINITY)].into(),
        ..step(1)
    };
    let mut log = MetricsLog::create(&path).unwrap();
    log.append(&Record::Step(odd)).unwrap();
    let Record::Step(back) = &read_metrics(&path).unwrap()[0].record else {
        panic!("not a step");
    };
    assert!(back.loss.is_nan() && back.gradient_norm.is_nan() && back.extra["margin"].is_nan());
    assert_eq!(back.chunk, 16);
}

#[test]
fn a_log_of_another_version_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let line = r#"{"unix_s":1,"kind":"step","step":3,"loss":1,"heat":21.5}"#;
    fs::write(&path, format!("{line}\n")).unwrap();
    let expected = StepRecord {
        step: 3,
        loss: 1.0,
        ..StepRecord::default()
    };
    let lines = read_metrics(&path).unwrap();
    assert_eq!(records(lines), [Record::Step(expected)]);
}

#[test]
fn a_new_run_does_not_write_over_an_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    write(&mut MetricsLog::create(&path).unwrap(), &run());
    let error = MetricsLog::create(&path).unwrap_err();
    assert!(matches!(error, ReportError::Exists { .. }), "{error}");
    assert_eq!(read_metrics(&path).unwrap().len(), 7);
}

#[test]
fn resuming_forgets_later_steps_and_a_torn_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    write(&mut MetricsLog::create(&path).unwrap(), &run());
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(br#"{"unix_s":1,"kind":"st"#).unwrap();

    let mut log = MetricsLog::resume(&path, 2).unwrap();
    assert_eq!(records(read_metrics(&path).unwrap()), run()[..5]);
    let resumed = event(2, RunEvent::Resumed { total_steps: 3 });
    log.append(&resumed).unwrap();
    let expected = [&run()[..5], &[resumed]].concat();
    assert_eq!(records(read_metrics(&path).unwrap()), expected);
}

#[test]
fn resuming_what_was_never_written_begins_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut log = MetricsLog::resume(&path, 100).unwrap();
    log.append(&Record::Step(step(101))).unwrap();
    assert_eq!(read_metrics(&path).unwrap().len(), 1);
}

#[test]
fn a_whole_line_that_is_no_record_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    write(&mut MetricsLog::create(&path).unwrap(), &run()[..2]);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"rubbish\n").unwrap();
    for error in [
        read_metrics(&path).unwrap_err(),
        MetricsLog::resume(&path, 1).unwrap_err(),
        MetricsTail::new(&path).poll().unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(error.contains("metrics.jsonl: line 3: "), "{error}");
    }
    // It is somebody's data: refusing to go on does not delete it.
    assert!(fs::read_to_string(&path).unwrap().ends_with("rubbish\n"));
}

#[test]
fn a_tail_sees_each_line_once_and_only_when_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut tail = MetricsTail::new(&path);
    assert_eq!(tail.poll().unwrap(), (false, vec![]), "nothing there yet");
    let mut log = MetricsLog::create(&path).unwrap();
    for record in run() {
        log.append(&record).unwrap();
        let (anew, lines) = tail.poll().unwrap();
        assert_eq!((anew, records(lines)), (false, vec![record]));
    }
    let text = fs::read(&path).unwrap();
    let line = text.split_inclusive(|b| *b == b'\n').next().unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&line[..10]).unwrap();
    assert_eq!(tail.poll().unwrap(), (false, vec![]));
    file.write_all(&line[10..]).unwrap();
    assert_eq!(tail.poll().unwrap().1.len(), 1);
}

#[test]
fn a_tail_begins_anew_when_a_run_is_resumed_even_if_it_outgrew_its_old_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    write(&mut MetricsLog::create(&path).unwrap(), &run());
    let mut tail = MetricsTail::new(&path);
    assert_eq!(tail.poll().unwrap().1.len(), 7);

    let mut log = MetricsLog::resume(&path, 1).unwrap();
    for at in 2..=12 {
        log.append(&Record::Step(step(at))).unwrap();
    }
    let (anew, lines) = tail.poll().unwrap();
    assert!(anew);
    assert_eq!(lines.len(), 3 + 11);
    log.append(&Record::Step(step(13))).unwrap();
    assert_eq!(
        records(tail.poll().unwrap().1),
        [Record::Step(step(13))],
        "and goes on from there"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Wherever a kill cuts the log off: what was whole is kept, the rest is gone, and it goes on.
    #[test]
    fn cut_anywhere_a_log_keeps_its_whole_lines(share in 0.0..=1.0_f64, after in 0_u64..5) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        write(&mut MetricsLog::create(&path).unwrap(), &run());
        let mut text = fs::read(&path).unwrap();
        text.truncate((share * text.len() as f64) as usize);
        let whole = text.iter().filter(|b| **b == b'\n').count();
        fs::write(&path, &text).unwrap();

        let mut log = MetricsLog::resume(&path, after).unwrap();
        log.append(&Record::Step(step(after + 1))).unwrap();
        let mut expected = run();
        expected.truncate(whole);
        expected.retain(|record| record.step() <= after);
        expected.push(Record::Step(step(after + 1)));
        prop_assert_eq!(records(read_metrics(&path).unwrap()), expected);
    }

    /// But for a last bit or two: the parser of JSON reads quickly rather than exactly.
    #[test]
    fn every_finite_number_survives(loss in proptest::num::f64::NORMAL) {
        let record = Record::Step(StepRecord { loss, ..step(1) });
        let line = MetricsLine { unix_s: 0.5, record };
        let text = serde_json::to_string(&line).unwrap();
        let back: MetricsLine = serde_json::from_str(&text).unwrap();
        let Record::Step(back) = back.record else { panic!("a step") };
        let bits = back.loss.to_bits().abs_diff(loss.to_bits());
        prop_assert!(bits <= 4, "{} became {}", loss, back.loss);
    }
}
