//! Folders that are not opened as they are named, and what to do instead.

use std::path::{Component, Path};

use deriva_api::{Error, ErrorKind, Result};

use crate::folder::at;

/// Refuses to begin a store in a folder that is called `~`: a shell does not expand what follows `sled:`.
pub(crate) fn refuse_home(path: &Path) -> Result<()> {
    let Some(Component::Normal(first)) = path.components().next() else {
        return Ok(());
    };
    if !first.as_encoded_bytes().starts_with(b"~") {
        return Ok(());
    }
    let message = "`~` is a home folder to shells only, and not within a store's URI";
    let error = Error::new(ErrorKind::Invalid, message);
    let hint = "write `$HOME` in its place, or `./~` for a folder of that name";
    Err(at(path, error).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_folder_is_refused_by_name_only_where_it_comes_first() {
        for path in ["~", "~/x", "~me/x"] {
            let error = refuse_home(Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.advice().unwrap().contains("$HOME"), "{error:?}");
        }
        for path in ["x", "./~/x", "/~/x", "x/~", ".", ""] {
            assert!(refuse_home(Path::new(path)).is_ok(), "{path}");
        }
    }
}
