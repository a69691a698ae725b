//! Each reader over the corpus that is kept, and over inputs made from it.
//!
//! Without a compiler that instruments it is a matter of chance what is found, so the chance can be given: `DERIVA_ROUNDS` is the number of
//! inputs for each target, `DERIVA_SEED` the seed that they come from, which is always the same where it is not given.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod changed;
mod corpus;
mod structured;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use deriva_fuzz::Target;

/// Inputs for each target unless `DERIVA_ROUNDS` says otherwise.
const ROUNDS: u32 = 1000;

fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| text.parse().unwrap())
}

/// Has a target read inputs of this sort. The smallest that breaks a promise is shown, as it can be put into the corpus.
fn reads(target: &Target, sort: u64, inputs: impl Strategy<Value = Vec<u8>>, rounds: u32) {
    let seed = number("DERIVA_SEED", 0);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&sort.to_le_bytes());
    let config = Config {
        cases: number("DERIVA_ROUNDS", rounds.into()).try_into().unwrap(),
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let tried = TestRunner::new_with_rng(config, rng).run(&inputs, |bytes| {
        (target.read)(&bytes);
        Ok(())
    });
    match tried {
        Ok(()) => {}
        Err(TestError::Fail(why, bytes)) => panic!(
            "{}: {why}\nDERIVA_SEED={seed}, printf '{}' > fuzz/corpus/{}/NAME",
            target.name,
            printed(&bytes),
            target.name
        ),
        Err(TestError::Abort(why)) => panic!("{}: {why}", target.name),
    }
}

/// Bytes as `printf` of a shell writes them.
fn printed(bytes: &[u8]) -> String {
    let octal = |byte: &u8| match byte {
        b'\\' | b'\'' | b'%' | ..b' ' | 0x7f.. => format!("\\{byte:03o}"),
        _ => char::from(*byte).to_string(),
    };
    bytes.iter().map(octal).collect()
}

#[test]
fn an_input_is_shown_so_that_a_shell_can_write_it() {
    assert_eq!(printed(b"a%\n'\\\xff1"), r"a\045\012\047\134\3771");
}

/// What the property tests are worth: a reader that breaks a promise is caught, and its input is made small.
#[test]
fn a_reader_that_panics_is_caught() {
    fn read(bytes: &[u8]) -> deriva_fuzz::Read {
        assert!(!bytes.contains(&b'!'), "an exclamation mark");
        deriva_fuzz::Read::Taken
    }
    let target = Target { name: "uri", read };
    let inputs = changed::inputs(vec![b"sled:./data!".to_vec(), b"memory:".to_vec()]);
    let told = std::panic::catch_unwind(|| reads(&target, 0, inputs, ROUNDS)).unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(told.contains("an exclamation mark"), "{told}");
    assert!(told.contains("fuzz/corpus/uri/NAME"), "{told}");
}
