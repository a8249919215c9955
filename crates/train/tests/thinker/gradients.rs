//! The gradient of every parameter, against differences and between ways of computing it.

use aurola_train::thinker::{Gradients, LoraConfig, Parameters, Pass, Scope, Thinker};

use super::{Batch, load, pass};

/// Numbers in `[-1, 1)` that look random.
fn numbers(n: usize, mut s: u64) -> Vec<f32> {
    (0..n)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Two prompts about one clip, which is heard once, are as two prompts about two clips that are alike.
#[test]
fn a_clip_that_two_prompts_share_has_both_their_gradients() {
    let (thinker, parameters) = load(&Scope::everything());
    let pass = pass(&parameters);
    let mut batch = Batch::small();
    let twin = batch.items[1].clone();
    batch.items.truncate(2);
    batch.items.push(twin);
    let weights = numbers(3 * thinker.hidden_size(), 11);
    let apart = gradients(&thinker, &pass, &batch, &weights);

    let mut samples = batch.samples();
    samples[2].mel = samples[1].mel;
    let (states, tape) = thinker.forward(&pass, &samples, true).unwrap();
    let (alone, _) = thinker.forward(&pass, &batch.samples(), false).unwrap();
    assert_eq!(states, alone);
    let mut shared = Gradients::zeros(&parameters);
    thinker.backward(&pass, tape.unwrap(), &weights, &mut shared);
    let names = parameters.iter().map(|p| &p.name);
    for ((one, other), name) in apart.as_slices().iter().zip(shared.as_slices()).zip(names) {
        let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let off: Vec<f32> = one.iter().zip(other).map(|(a, b)| a - b).collect();
        assert!(
            norm(&off) <= 1e-5 * norm(one),
            "{name}: {} of {}",
            norm(&off),
            norm(one)
        );
    }
}

fn lora() -> Scope {
    Scope {
        tensors: Vec::new(),
        lora: Some(LoraConfig {
            r: 3,
            lora_alpha: 6.0,
            lora_dropout: 0.0,
            ..LoraConfig::default()
        }),
    }
}

/// `Σ w s` of the states `s`: a loss whose gradient is `w`.
fn value(thinker: &Thinker, pass: &Pass<'_>, batch: &Batch, weights: &[f32]) -> f64 {
    let (states, _) = thinker.forward(pass, &batch.samples(), false).unwrap();
    states
        .iter()
        .zip(weights)
        .map(|(s, w)| f64::from(*s) * f64::from(*w))
        .sum()
}

fn gradients(thinker: &Thinker, pass: &Pass<'_>, batch: &Batch, weights: &[f32]) -> Gradients {
    let mut gradients = Gradients::zeros(pass.parameters);
    let (_, tape) = thinker.forward(pass, &batch.samples(), true).unwrap();
    thinker.backward(pass, tape.unwrap(), weights, &mut gradients);
    gradients
}

/// Fills the second factors, which begin at zero and would hide the first ones' gradients.
fn wake(parameters: &mut Parameters) {
    for (i, values) in parameters.values_mut().into_iter().enumerate() {
        if values.iter().all(|v| *v == 0.0) {
            let random = numbers(values.len(), 77 + i as u64);
            values
                .iter_mut()
                .zip(random)
                .for_each(|(v, r)| *v = 0.1 * r);
        }
    }
}

/// Directional derivatives of each tensor, along its own gradient and along a random direction,
/// against central differences of the whole model's loss.
fn agrees_with_differences(scope: &Scope) {
    let (thinker, mut parameters) = load(scope);
    if scope.lora.is_some() {
        wake(&mut parameters);
    }
    let batch = Batch::small();
    let weights = numbers(batch.items.len() * thinker.hidden_size(), 5);
    let found = gradients(&thinker, &pass(&parameters), &batch, &weights);
    let names: Vec<String> = parameters.iter().map(|p| p.name.clone()).collect();
    for (i, (name, gradient)) in names.iter().zip(found.as_slices()).enumerate() {
        let norm = gradient
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        if name == "lm_head.weight" {
            continue; // no state depends on it; the re-ranker's tests have its gradient
        }
        // A bias of the keys shifts all scores of a query alike: its gradient is zero, up to rounding.
        let is_keys_bias = name.ends_with("k_proj.bias") && name.starts_with("model.");
        assert!(norm > 1e-9 || is_keys_bias, "{name} gets no gradient");
        // Far enough that the loss changes by more than its rounding, near enough to be straight.
        let step = (0.01 / norm.max(1e-3)).clamp(1e-4, 0.02);
        let direction: Vec<f64> = gradient
            .iter()
            .map(|g| f64::from(*g) / norm.max(1e-30))
            .collect();
        let mut along = |sign: f64| {
            let old = parameters.values_mut()[i].to_vec();
            for (v, d) in parameters.values_mut()[i].iter_mut().zip(&direction) {
                *v += (sign * step * d) as f32;
            }
            let moved: f64 = parameters.values_mut()[i]
                .iter()
                .zip(&old)
                .zip(&direction)
                .map(|((new, old), d)| (f64::from(*new) - f64::from(*old)) * d)
                .sum();
            let value = value(&thinker, &pass(&parameters), &batch, &weights);
            parameters.values_mut()[i].copy_from_slice(&old);
            (value, moved)
        };
        let ((up, right), (down, left)) = (along(1.0), along(-1.0));
        let slope = (up - down) / (right - left);
        assert!(
            (slope - norm).abs() <= 1e-2 * norm + 2e-3,
            "{name}: the loss rises by {slope} along a gradient of length {norm}"
        );
    }
}

#[test]
fn whole_tensors_agree_with_differences_and_none_is_missing() {
    agrees_with_differences(&Scope::everything());
}

#[test]
fn low_rank_changes_agree_with_differences_and_none_is_missing() {
    agrees_with_differences(&lora());
}

#[test]
fn computing_layers_again_gives_the_same_bits() {
    for scope in [Scope::everything(), lora()] {
        let (thinker, mut parameters) = load(&scope);
        wake(&mut parameters);
        let batch = Batch::small();
        let weights = numbers(batch.items.len() * thinker.hidden_size(), 5);
        let kept = gradients(&thinker, &pass(&parameters), &batch, &weights);
        let again = Pass {
            recompute: true,
            ..pass(&parameters)
        };
        assert_eq!(kept, gradients(&thinker, &again, &batch, &weights));
    }
}

#[test]
fn gradients_of_a_batch_are_the_sum_over_its_samples() {
    let (thinker, parameters) = load(&Scope::everything());
    let batch = Batch::small();
    let hidden = thinker.hidden_size();
    let weights = numbers(batch.items.len() * hidden, 5);
    let pass = pass(&parameters);
    let whole = gradients(&thinker, &pass, &batch, &weights);
    let mut sum = Gradients::zeros(&parameters);
    for (sample, weights) in batch.samples().iter().zip(weights.chunks_exact(hidden)) {
        let (_, tape) = thinker
            .forward(&pass, std::slice::from_ref(sample), true)
            .unwrap();
        thinker.backward(&pass, tape.unwrap(), weights, &mut sum);
    }
    for ((a, b), p) in whole
        .as_slices()
        .iter()
        .zip(sum.as_slices())
        .zip(parameters.iter())
    {
        let size = a.iter().map(|v| v.abs()).fold(0.0, f32::max);
        for (a, b) in a.iter().zip(b) {
            assert!(
                (a - b).abs() <= 1e-5 * size + 1e-6,
                "{}: {a} against {b}",
                p.name
            );
        }
    }
}
