//! A [`View`] on stderr: redrawn where a person watches, a line every ten seconds where nobody does.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::record::{EventRecord, StepRecord, ValidationRecord};
use super::view::{View, printable};

/// Where nobody watches: how long between two lines.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// How a dashboard looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A bar and a few lines, redrawn in place.
    Bar,
    /// A line now and then.
    Lines,
    /// Nothing.
    Quiet,
}

impl Style {
    /// [`Style::Bar`] where stderr is a terminal that can move its cursor and `CI` is not set, else
    /// [`Style::Lines`].
    pub fn of_stderr() -> Self {
        let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if io::stderr().is_terminal() && !ci && !dumb {
            Self::Bar
        } else {
            Self::Lines
        }
    }
}

/// Shows how far a run is. Whatever goes wrong with the terminal is no reason to stop the run, so
/// nothing here fails.
#[derive(Debug)]
pub struct Dashboard {
    view: View,
    face: Face,
}

enum Face {
    Bar(ProgressBar),
    Lines {
        to: Box<dyn Write + Send>,
        last: Option<Instant>,
        /// Whether something was seen that no line told.
        untold: bool,
    },
    Quiet,
}

impl fmt::Debug for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bar(_) => "Bar",
            Self::Lines { .. } => "Lines",
            Self::Quiet => "Quiet",
        })
    }
}

impl Dashboard {
    /// On stderr, of a run of `total_steps` steps.
    pub fn new(total_steps: u64, style: Style) -> Self {
        let face = match style {
            Style::Bar => {
                let bar = ProgressBar::new(total_steps);
                if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg}") {
                    bar.set_style(style);
                }
                Face::Bar(bar)
            }
            Style::Lines => return Self::lines_to(total_steps, io::stderr()),
            Style::Quiet => Face::Quiet,
        };
        Self {
            view: View::new(total_steps),
            face,
        }
    }

    /// [`Style::Lines`], to anything else than stderr.
    pub fn lines_to(total_steps: u64, to: impl Write + Send + 'static) -> Self {
        Self {
            view: View::new(total_steps),
            face: Face::Lines {
                to: Box::new(to),
                last: None,
                untold: false,
            },
        }
    }

    /// A step was made.
    pub fn step(&mut self, record: &StepRecord) {
        self.view.step(record);
        self.draw(false);
    }

    /// The model was tried.
    pub fn validation(&mut self, record: &ValidationRecord) {
        self.view.validation(record);
        self.draw(true);
    }

    /// Something happened to the run.
    pub fn event(&mut self, record: &EventRecord) {
        self.message(&record.event.to_string());
    }

    /// A line that stays.
    pub fn message(&mut self, message: &str) {
        let message = printable(message);
        match &mut self.face {
            Face::Bar(bar) => bar.println(message),
            Face::Lines { to, .. } => drop(writeln!(to, "{message}")),
            Face::Quiet => {}
        }
    }

    /// The run has another length than was thought.
    pub fn set_total_steps(&mut self, total_steps: u64) {
        self.view.set_total_steps(total_steps);
        if let Face::Bar(bar) = &self.face {
            bar.set_length(total_steps);
        }
    }

    /// Forgets every record; those that follow are told again from the beginning.
    pub fn begin_anew(&mut self) {
        self.view = View::new(self.view.progress().1);
    }

    /// What it knows.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Shows the last state and leaves it there.
    pub fn finish(&mut self) {
        if let Face::Lines { untold: true, .. } | Face::Bar(_) = self.face {
            self.draw(true);
        }
        if let Face::Bar(bar) = &self.face {
            bar.abandon();
        }
    }

    fn draw(&mut self, now: bool) {
        match &mut self.face {
            Face::Bar(bar) => {
                bar.set_position(self.view.progress().0);
                bar.set_message(self.view.lines().join("\n"));
            }
            Face::Lines { to, last, untold } => {
                *untold = true;
                if now || last.is_none_or(|last| last.elapsed() >= BETWEEN_LINES) {
                    // A closed stderr is no reason to stop.
                    let _ = writeln!(to, "{}", self.view.line());
                    *last = Some(Instant::now());
                    *untold = false;
                }
            }
            Face::Quiet => {}
        }
    }
}
