//! A run as one sees it: what its records add up to, as text.

use std::collections::{BTreeMap, VecDeque};

use super::record::{StepRecord, ValidationRecord};

/// How many losses the curve shows.
const CURVE: usize = 240;
/// Over how many steps speed is averaged.
const PACE: usize = 32;
/// How much of the smoothed loss comes from the steps before, per step.
const SMOOTHING: f64 = 0.95;
/// The width of the curve, in characters.
const COLUMNS: usize = 24;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is known of a run; rendering it has no side effects.
#[derive(Debug, Clone, Default)]
pub struct View {
    total_steps: u64,
    last: Option<StepRecord>,
    /// Sum and weight of an exponential mean; their quotient is unbiased from the first step on.
    smoothed: (f64, f64),
    losses: VecDeque<f64>,
    pace: VecDeque<StepRecord>,
    validations: BTreeMap<String, ValidationRecord>,
}

impl View {
    /// A run of which nothing is known yet but its length.
    pub fn new(total_steps: u64) -> Self {
        Self {
            total_steps,
            ..Self::default()
        }
    }

    /// The length of the run changed, as when it is resumed with another recipe.
    pub fn set_total_steps(&mut self, total_steps: u64) {
        self.total_steps = total_steps;
    }

    /// How many steps were made, and of how many.
    pub fn progress(&self) -> (u64, u64) {
        (
            self.last.as_ref().map_or(0, |last| last.step),
            self.total_steps,
        )
    }

    /// Takes in a step.
    pub fn step(&mut self, record: &StepRecord) {
        // One loss that is not finite must not hide all that follow.
        if record.loss.is_finite() {
            let (sum, weight) = self.smoothed;
            self.smoothed = (
                SMOOTHING * sum + (1.0 - SMOOTHING) * record.loss,
                SMOOTHING * weight + (1.0 - SMOOTHING),
            );
            push(&mut self.losses, record.loss, CURVE);
        }
        push(&mut self.pace, record.clone(), PACE);
        self.last = Some(record.clone());
    }

    /// Takes in a validation.
    pub fn validation(&mut self, record: &ValidationRecord) {
        self.validations.insert(record.name.clone(), record.clone());
    }

    /// Everything, in several lines of less than 80 characters where names are short.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![joined([
            self.position(),
            self.share(),
            self.left_s().map(|left| format!("{} left", spoken(left))),
        ])];
        let Some(last) = &self.last else {
            return lines;
        };
        lines.push(joined([
            Some(format!("{} {}", self.loss(last), self.curve())),
            Some(format!("gradient {:.3}", last.gradient_norm)),
            Some(format!("lr {:.2e}", last.learning_rate)),
        ]));
        lines.push(joined([
            self.speed(),
            self.waiting(),
            (last.chunk > 0).then(|| format!("chunk {}", last.chunk)),
            (last.skipped > 0).then(|| format!("{} skipped", grouped(last.skipped))),
        ]));
        for validation in self.validations.values() {
            let at = format!("{} at step {}:", validation.name, grouped(validation.step));
            lines.push(printable(&format!("{at} {}", scores(validation, " · "))));
        }
        lines
    }

    /// Everything that fits into one line.
    pub fn line(&self) -> String {
        let validations = self.validations.values();
        let validations = validations
            .map(|one| printable(&format!("{} {}", one.name, scores(one, " "))))
            .collect::<Vec<_>>();
        let last = self.last.as_ref();
        joined(
            [
                self.position(),
                last.map(|last| self.loss(last)),
                last.map(|last| format!("lr {:.2e}", last.learning_rate)),
                self.speed(),
                self.waiting(),
                self.left_s().map(|left| format!("{} left", spoken(left))),
            ]
            .into_iter()
            .chain(validations.into_iter().map(Some)),
        )
    }

    fn position(&self) -> Option<String> {
        let (done, total) = self.progress();
        Some(format!("step {}/{}", grouped(done), grouped(total)))
    }

    fn share(&self) -> Option<String> {
        let (done, total) = self.progress();
        (total > 0).then(|| format!("{:.0} %", 100.0 * done as f64 / total as f64))
    }

    /// The smoothed loss; of a step whose own is not finite, that too.
    fn loss(&self, last: &StepRecord) -> String {
        let (sum, weight) = self.smoothed;
        match (last.loss.is_finite(), weight > 0.0) {
            (true, _) => format!("loss {:.4}", sum / weight),
            (false, true) => format!("loss {} after {:.4}", last.loss, sum / weight),
            (false, false) => format!("loss {}", last.loss),
        }
    }

    fn curve(&self) -> String {
        sparkline(&Vec::from_iter(self.losses.iter().copied()), COLUMNS)
    }

    fn over_pace(&self, number: impl Fn(&StepRecord) -> f64) -> f64 {
        self.pace.iter().map(number).filter(|n| n.is_finite()).sum()
    }

    /// Seconds the last steps took.
    fn pace_s(&self) -> Option<f64> {
        Some(self.over_pace(|step| step.step_s)).filter(|s| *s > 0.0)
    }

    fn speed(&self) -> Option<String> {
        let seconds = self.pace_s()?;
        let sound = self.over_pace(|step| step.audio_seconds_per_s * step.step_s) / seconds;
        let pairs = self.over_pace(|step| step.pairs_per_s * step.step_s) / seconds;
        Some(joined([
            (sound > 0.0).then(|| format!("{sound:.1} s of sound/s")),
            Some(format!("{pairs:.1} pairs/s")),
        ]))
    }

    fn waiting(&self) -> Option<String> {
        let share = self.over_pace(|step| step.wait_s) / self.pace_s()?;
        Some(format!("{:.0} % waiting for data", 100.0 * share))
    }

    /// Seconds to the end, at the pace of the last steps.
    fn left_s(&self) -> Option<f64> {
        let (done, total) = self.progress();
        let each = self.pace_s()? / self.pace.len() as f64;
        (done < total).then(|| each * (total - done) as f64)
    }
}

/// The values as a row of bars, the least the lowest; of more than `columns` values, each column is
/// the mean of its share. Values that are not finite are left out.
pub fn sparkline(values: &[f64], columns: usize) -> String {
    let values: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let columns = columns.min(values.len());
    let means: Vec<f64> = (0..columns)
        .map(|column| {
            let share =
                &values[column * values.len() / columns..(column + 1) * values.len() / columns];
            share.iter().sum::<f64>() / share.len() as f64
        })
        .collect();
    let least = means.iter().copied().fold(f64::INFINITY, f64::min);
    let most = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bar = |mean: &f64| {
        let height = if most > least {
            (mean - least) / (most - least)
        } else {
            0.0
        };
        BARS[(height * 7.0).round() as usize]
    };
    means.iter().map(bar).collect()
}

fn push<T>(to: &mut VecDeque<T>, value: T, most: usize) {
    if to.len() == most {
        to.pop_front();
    }
    to.push_back(value);
}

fn joined(parts: impl IntoIterator<Item = Option<String>>) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(" · ")
}

/// `a2t_r1 0.312`, and so on; `r5` before `r10`.
fn scores(validation: &ValidationRecord, between: &str) -> String {
    let mut scores: Vec<(&String, &f64)> = validation.scores.iter().collect();
    scores.sort_by_key(|(name, _)| {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        (stem.to_owned(), name[stem.len()..].parse::<u64>().ok())
    });
    let scores = scores
        .iter()
        .map(|(name, value)| format!("{name} {value:.3}"));
    scores.collect::<Vec<_>>().join(between)
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `30 s`, `31 min`, `2 h 10 min`, `3 d 4 h`.
fn spoken(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        _ if seconds < 59.5 => format!("{seconds:.0} s"),
        0..60 => format!("{minutes} min"),
        60..2880 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1440, minutes % 1440 / 60),
    }
}

/// Names and messages are data: none may move the cursor.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
