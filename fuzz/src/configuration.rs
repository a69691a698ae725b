//! The settings of `deriva serve`.
//!
//! What `--print-config` prints of a file is a file that says the same.

use deriva_cli::foreign;

use crate::Read;
use crate::file::{check_wrong, path};

/// Bytes as the text of a file of settings.
pub fn read(bytes: &[u8]) -> Read {
    let Ok(text) = str::from_utf8(bytes) else {
        return Read::Refused;
    };
    let printed = match foreign::configuration(path(), text) {
        Ok(printed) => printed,
        Err(wrong) => {
            check_wrong(text, &wrong);
            return Read::Refused;
        }
    };
    let again = foreign::configuration(path(), &printed);
    let again = again.unwrap_or_else(|wrong| panic!("{}\n{printed}", wrong.told));
    assert_eq!(set(&again), set(&printed));
    Read::Taken
}

/// Without comments, which tell where a setting comes from.
fn set(printed: &str) -> Vec<&str> {
    let lines = printed.lines();
    lines.filter(|line| !line.starts_with('#')).collect()
}
