//! Floats of 16 bits, which the standard library does not have and a crate only with four others.

/// What 16 bits say.
pub(super) fn widen(bits: u16) -> f64 {
    let exponent = u64::from(bits >> 10 & 0x1f);
    let fraction = u64::from(bits & 0x3ff);
    let size = match exponent {
        0 => fraction as f64 / f64::from(1 << 24),
        31 if fraction == 0 => f64::INFINITY,
        31 => f64::NAN,
        _ => f64::from_bits((exponent + 1023 - 15) << 52 | fraction << 42),
    };
    match bits >> 15 {
        0 => size,
        _ => -size,
    }
}

/// The 16 bits that say this number, if any do.
pub(super) fn narrow(x: f64) -> Option<u16> {
    let size = x.abs();
    let bits = if size < widen(1 << 10) {
        // One of the smallest, which are multiples of the least.
        (size * f64::from(1 << 24)) as u16
    } else {
        let exponent = (size.to_bits() >> 52).checked_sub(1023 - 15)?;
        let fraction = size.to_bits() >> 42 & 0x3ff;
        u16::try_from(exponent << 10 | fraction).ok()?
    };
    let bits = bits | u16::from(x.is_sign_negative()) << 15;
    (widen(bits).to_bits() == x.to_bits()).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_widened_and_narrowed_as_by_the_crate_of_the_name() {
        for bits in 0..=u16::MAX {
            let other = half::f16::from_bits(bits);
            if other.is_nan() {
                assert!(widen(bits).is_nan());
                continue;
            }
            assert_eq!(widen(bits).to_bits(), other.to_f64().to_bits(), "{bits:x}");
            let narrowed = narrow(other.to_f64());
            assert_eq!(narrowed, other.is_finite().then_some(bits), "{bits:x}");
        }
    }

    #[test]
    fn what_lies_between_two_of_them_is_none() {
        for bits in 0..=u16::MAX {
            let x = widen(bits);
            if !x.is_finite() {
                continue;
            }
            for near in [
                x.next_up(),
                x.next_down(),
                x * (1.0 + f64::EPSILON),
                x / 3.0,
            ] {
                let other = half::f16::from_f64(near);
                let kept = other.to_f64().to_bits() == near.to_bits();
                assert_eq!(narrow(near), kept.then_some(other.to_bits()), "{near:e}");
            }
        }
        for x in [65520.0, 65536.0, f64::MAX, f64::MIN_POSITIVE, 5e-324] {
            assert_eq!((narrow(x), narrow(-x)), (None, None), "{x:e}");
        }
    }
}
