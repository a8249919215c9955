//! What a launcher tells a process about its place in a run.

use super::error::CollectiveError;

/// No run has more ranks; a larger number is a slip of the pen.
const MAX_WORLD: usize = 65_536;

/// A process's place in a run of several, as `torchrun`, Kubernetes' training operators or a Slurm
/// script (`RANK=$SLURM_PROCID`, `LOCAL_RANK=$SLURM_LOCALID`, `WORLD_SIZE=$SLURM_NTASKS`) say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// `RANK`: this process among all, from 0.
    pub rank: usize,
    /// `LOCAL_RANK`: this process among those of its machine, which picks its GPU. Not every launcher
    /// says it.
    pub local_rank: Option<usize>,
    /// `WORLD_SIZE`: how many processes, 2 or more.
    pub world: usize,
    /// `MASTER_ADDR`: the name or address of the machine of rank 0.
    pub address: String,
    /// The port rank 0 listens on: `MASTER_PORT`, or one above it where torchrun keeps a store of its
    /// own on that port (`TORCHELASTIC_USE_AGENT_STORE=True`).
    pub port: u16,
}

impl Launch {
    /// Reads this process's environment; `None` where there is one process only.
    ///
    /// # Errors
    ///
    /// See [`Launch::from_variables`].
    pub fn from_env() -> Result<Option<Self>, CollectiveError> {
        Self::from_variables(|name| {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })
    }

    /// Reads variables from wherever `get` finds them; an empty one counts as not set. `None` without
    /// `WORLD_SIZE` or with 1.
    ///
    /// # Errors
    ///
    /// [`CollectiveError::MissingVariable`] and [`CollectiveError::Variable`], with name and value.
    pub fn from_variables(
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, CollectiveError> {
        let variables = Variables { get };
        let Some(world) = variables.number("WORLD_SIZE", 1, MAX_WORLD)? else {
            // A rank that thinks it is alone would train a run of its own, beside the others'.
            return match variables.number("RANK", 0, MAX_WORLD)? {
                None | Some(0) => Ok(None),
                Some(rank) => Err(CollectiveError::MissingVariable {
                    name: "WORLD_SIZE",
                    because: format!("RANK is {rank}"),
                }),
            };
        };
        if world == 1 {
            variables.number("RANK", 0, 0)?;
            return Ok(None);
        }
        let missing = |name| CollectiveError::MissingVariable {
            name,
            because: format!("WORLD_SIZE is {world}"),
        };
        let rank = variables
            .number("RANK", 0, world - 1)?
            .ok_or_else(|| missing("RANK"))?;
        let address = variables
            .text("MASTER_ADDR")
            .ok_or_else(|| missing("MASTER_ADDR"))?;
        // Torchrun's agent serves its store on MASTER_PORT itself; its workers all see that it does.
        let above = usize::from(
            variables
                .text("TORCHELASTIC_USE_AGENT_STORE")
                .is_some_and(|value| value == "True"),
        );
        let port = variables
            .number("MASTER_PORT", 1, usize::from(u16::MAX) - above)?
            .ok_or_else(|| missing("MASTER_PORT"))?;
        Ok(Some(Self {
            rank,
            local_rank: variables.number("LOCAL_RANK", 0, world - 1)?,
            world,
            address,
            port: (port + above) as u16, // at most 65535, by the range above
        }))
    }
}

struct Variables<F> {
    get: F,
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    fn text(&self, name: &str) -> Option<String> {
        (self.get)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    fn number(
        &self,
        name: &'static str,
        least: usize,
        most: usize,
    ) -> Result<Option<usize>, CollectiveError> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(CollectiveError::Variable {
                name,
                value,
                expected: match (least, most) {
                    (least, most) if least == most => least.to_string(),
                    (least, most) => format!("a whole number from {least} to {most}"),
                },
            }),
        }
    }
}
