//! What a re-ranker says of a pair.

/// Logits of the first generated token being Yes or No.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct YesNo {
    /// Of Yes.
    pub logit_yes: f32,
    /// Of No.
    pub logit_no: f32,
}

impl YesNo {
    /// Softmax over the two: the probability of Yes, `1 / (1 + e^(no − yes))`.
    pub fn p_yes(&self) -> f32 {
        (1.0 / (1.0 + (f64::from(self.logit_no) - f64::from(self.logit_yes)).exp())) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_are_a_half_and_far_ones_do_not_overflow() {
        assert_eq!(
            YesNo {
                logit_yes: 3.0,
                logit_no: 3.0
            }
            .p_yes(),
            0.5
        );
        assert_eq!(
            YesNo {
                logit_yes: -1e4,
                logit_no: 1e4
            }
            .p_yes(),
            0.0
        );
        assert!(
            (YesNo {
                logit_yes: 1.0,
                logit_no: 0.0
            }
            .p_yes()
                - 0.731_058_6)
                .abs()
                < 1e-6
        );
    }
}
