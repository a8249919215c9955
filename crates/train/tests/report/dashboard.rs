//! What a person sees.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use aurola_train::report::{
    Dashboard, EventRecord, RunEvent, StepRecord, Style, ValidationRecord, View, sparkline,
};
use proptest::prelude::*;

use crate::{step, validation};

/// Where a dashboard writes, to be looked at.
#[derive(Clone, Default)]
pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_run_by_hand() {
    let mut view = View::new(10_000);
    assert_eq!(view.lines(), ["step 0/10,000 · 0 %"]);
    view.step(&StepRecord {
        loss: 4.0,
        ..step(999)
    });
    view.step(&StepRecord {
        loss: 2.0,
        skipped: 3,
        ..step(1000)
    });
    view.validation(&validation(1000));
    // The loss is (0.95·4 + 1·2) / 1.95 = 2.9744; 9,000 steps of 0.5 s are 75 minutes.
    assert_eq!(
        view.lines(),
        [
            "step 1,000/10,000 · 10 % · 1 h 15 min left",
            "loss 2.9744 █▁ · gradient 0.750 · lr 1.50e-5",
            "320.0 s of sound/s · 64.0 pairs/s · 10 % waiting for data · chunk 16 · 3 skipped",
            "clotho at step 1,000: t2a_r1 0.250 · t2a_r5 0.500 · t2a_r10 0.750",
        ]
    );
    assert_eq!(
        view.line(),
        "step 1,000/10,000 · loss 2.9744 · lr 1.50e-5 · 320.0 s of sound/s · 64.0 pairs/s · 10 % \
         waiting for data · 1 h 15 min left · clotho t2a_r1 0.250 t2a_r5 0.500 t2a_r10 0.750"
    );
}

#[test]
fn a_run_of_words_alone_has_no_sound_per_second() {
    let mut view = View::new(2);
    view.step(&StepRecord {
        audio_seconds_per_s: 0.0,
        ..step(2)
    });
    let line = view.line();
    assert!(line.contains("· 64.0 pairs/s ·"), "{line}");
    assert!(!line.contains("sound"), "{line}");
    assert!(!line.contains("left"), "all steps are made: {line}");
}

#[test]
fn one_bad_loss_is_shown_and_does_not_hide_the_others() {
    let bad = |at| StepRecord {
        loss: f64::NAN,
        ..step(at)
    };
    let mut view = View::new(9);
    view.step(&bad(1));
    assert!(view.line().contains("loss NaN · lr"), "{}", view.line());
    view.step(&StepRecord {
        loss: 2.0,
        ..step(2)
    });
    view.step(&bad(3));
    assert!(
        view.line().contains("loss NaN after 2.0000"),
        "{}",
        view.line()
    );
    view.step(&StepRecord {
        loss: 2.0,
        ..step(4)
    });
    assert!(view.line().contains("loss 2.0000 ·"), "{}", view.line());
}

#[test]
fn the_pace_is_that_of_the_last_steps() {
    let mut view = View::new(200);
    view.step(&StepRecord {
        step_s: 1000.0, // the first step builds what later ones reuse
        ..step(1)
    });
    for at in 2..=100 {
        view.step(&step(at));
    }
    assert!(view.line().contains("50 s left"), "{}", view.line());
}

#[test]
fn sparklines_by_hand() {
    assert_eq!(
        sparkline(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 8),
        "▁▂▃▄▅▆▇█"
    );
    assert_eq!(sparkline(&[7.0, 7.0, 0.0, 0.0], 2), "█▁");
    assert_eq!(sparkline(&[3.0, 3.0], 8), "▁▁");
    assert_eq!(sparkline(&[1.0, f64::NAN, 2.0], 8), "▁█");
    assert_eq!(sparkline(&[], 8), "");
    assert_eq!(sparkline(&[1.0], 0), "");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn sparklines_are_as_wide_as_asked_whatever_the_numbers(
        values in prop::collection::vec(-1e300..1e300_f64, 0..600), columns in 0_usize..50
    ) {
        let width = sparkline(&values, columns).chars().count();
        prop_assert_eq!(width, columns.min(values.len()));
    }

    #[test]
    fn any_record_can_be_shown(
        loss in any::<f64>(), step_s in any::<f64>(), at in any::<u64>(), total in any::<u64>()
    ) {
        let mut view = View::new(total);
        let odd = StepRecord { loss, step_s, audio_seconds_per_s: loss, ..step(at) };
        view.step(&odd);
        view.step(&odd);
        prop_assert_eq!(view.lines().len(), 3);
        prop_assert!(view.line().starts_with("step "));
    }
}

#[test]
fn where_nobody_watches_lines_are_few() {
    let paper = Paper::default();
    let mut dashboard = Dashboard::lines_to(100, paper.clone());
    for at in 1..=50 {
        dashboard.step(&step(at));
    }
    // The first at once, the next after ten seconds, which this test does not take.
    assert_eq!(paper.lines().len(), 1);
    assert!(paper.lines()[0].starts_with("step 1/100 · loss 4.0000"));
    dashboard.validation(&validation(50));
    assert!(paper.lines()[1].contains("clotho t2a_r1 0.250"));
    dashboard.finish();
    assert_eq!(paper.lines().len(), 2, "nothing new since the validation");
    dashboard.step(&step(51));
    dashboard.finish();
    assert!(paper.lines()[2].starts_with("step 51/100"));
}

#[test]
fn events_are_told_in_words_and_cannot_move_the_cursor() {
    let paper = Paper::default();
    let mut dashboard = Dashboard::lines_to(100, paper.clone());
    dashboard.event(&EventRecord {
        step: 7,
        event: RunEvent::OutOfMemory { chunk: 8 },
    });
    dashboard.message("red: \u{1b}[31m\nand more");
    dashboard.step(&step(1));
    dashboard.validation(&ValidationRecord {
        name: "a\u{1b}b".to_owned(),
        ..validation(1)
    });
    let lines = paper.lines();
    assert_eq!(lines[0], "out of memory; from now on 8 pairs at once");
    assert_eq!(lines[1], "red: \u{fffd}[31m\u{fffd}and more");
    assert!(lines[3].contains("a\u{fffd}b t2a_r1"), "{}", lines[3]);
}

#[test]
fn every_style_takes_every_call() {
    for style in [Style::Bar, Style::Quiet] {
        let mut dashboard = Dashboard::new(10, style);
        dashboard.message("begins");
        dashboard.step(&step(3));
        dashboard.validation(&validation(3));
        dashboard.set_total_steps(12);
        assert_eq!(dashboard.view().progress(), (3, 12));
        dashboard.begin_anew();
        assert_eq!(dashboard.view().progress(), (0, 12));
        dashboard.finish();
    }
}
