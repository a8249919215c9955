//! The learning rate over a run: up in a line, down in half a cosine.

use crate::error::TrainError;

/// Linear warm-up from 0, then half a cosine down to 0: `get_cosine_schedule_with_warmup` of
/// transformers, which the released recipes use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    peak: f64,
    warmup: u64,
    steps: u64,
}

impl Schedule {
    /// A run of `steps` steps that reaches the rate `peak` after `warmup` of them, a share in
    /// `[0, 1]` (0.03 in the released recipes), rounded up as the released trainer rounds it.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] for a number out of its range.
    pub fn new(peak: f64, warmup: f64, steps: u64) -> Result<Self, TrainError> {
        let refuse = |name, value, range| Err(TrainError::Setting { name, value, range });
        if !(peak > 0.0 && peak.is_finite()) {
            return refuse("learning_rate", peak, "above 0");
        }
        if !(0.0..=1.0).contains(&warmup) {
            return refuse("warmup", warmup, "0 to 1");
        }
        if steps == 0 {
            return refuse("steps", 0.0, "1 or more");
        }
        Ok(Self {
            peak,
            warmup: (steps as f64 * warmup).ceil() as u64,
            steps,
        })
    }

    /// The rate of the step after `done` steps; 0 behind the end.
    pub fn rate(&self, done: u64) -> f64 {
        if done < self.warmup {
            return self.peak * done as f64 / self.warmup as f64;
        }
        if done >= self.steps {
            return 0.0;
        }
        let progress = (done - self.warmup) as f64 / (self.steps - self.warmup) as f64;
        self.peak * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eleven_rates_as_transformers_gives_them() {
        // get_cosine_schedule_with_warmup(lr 2e-4, 3 of 10 steps), transformers 4.57.1.
        let want = [
            0.0,
            6.666_666_666_7e-5,
            1.333_333_333_3e-4,
            2e-4,
            1.900_968_867_9e-4,
            1.623_489_801_9e-4,
            1.222_520_934e-4,
            7.774_790_660_4e-5,
            3.765_101_981_4e-5,
            9.903_113_209_8e-6,
            0.0,
        ];
        let schedule = Schedule::new(2e-4, 0.3, 10).unwrap();
        for (done, want) in want.into_iter().enumerate() {
            assert!(
                (schedule.rate(done as u64) - want).abs() < 1e-13,
                "after {done}"
            );
        }
        assert_eq!(schedule.rate(99), 0.0);
    }

    #[test]
    fn a_warmup_of_part_of_a_step_is_one_step() {
        let schedule = Schedule::new(1.0, 0.03, 10).unwrap();
        assert_eq!((schedule.rate(0), schedule.rate(1)), (0.0, 1.0));
        let none = Schedule::new(1.0, 0.0, 10).unwrap();
        assert_eq!(none.rate(0), 1.0);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        for (peak, warmup, steps, name) in [
            (0.0, 0.0, 1, "learning_rate"),
            (1.0, 1.5, 1, "warmup"),
            (1.0, 0.0, 0, "steps"),
        ] {
            let message = Schedule::new(peak, warmup, steps).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
