//! Stores to test on, and recipes in one line.
#![allow(clippy::unwrap_used, reason = "only tests use it")]
#![allow(dead_code, reason = "each test file uses a part")]

use deriva::prelude::*;

/// A store in memory, or in a folder of its own.
pub(crate) struct Stores {
    scheme: &'static str,
    pub(crate) folder: tempfile::TempDir,
}

impl Stores {
    pub(crate) fn new(scheme: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { scheme, folder }
    }

    pub(crate) fn all() -> [Self; 2] {
        [Self::new("memory"), Self::new("sled")]
    }

    pub(crate) fn uri(&self) -> String {
        match self.scheme {
            "memory" => "memory:".to_owned(),
            scheme => {
                let path = self.folder.path().join("store");
                format!(
                    "{scheme}:{}?durability=buffered&blob_threshold=8192",
                    path.display()
                )
            }
        }
    }
}

pub(crate) async fn recipe(deriva: &Deriva, name: &str, inputs: &[CAddr]) -> CAddr {
    let inputs = inputs.iter().copied();
    let recipe = deriva.recipe(name, "1").inputs(inputs);
    recipe.insert().await.unwrap()
}
