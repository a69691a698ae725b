//! What goes wrong in a round, on purpose. What should fail must fail.

use std::time::Duration;

use deriva::prelude::*;
use deriva_testkit::Operation;

use crate::workload::Workload;

impl Workload {
    /// A full disk, a document that is not JSON, a request that comes too late, and one that is dropped.
    pub(crate) async fn fail(&self, round: u64, packed: CAddr) -> Result<()> {
        // First, as long as nothing else is written.
        let blob = format!("no room in round {round}");
        self.faults.fail_nth(Operation::BlobPut, 1, ErrorKind::Full);
        let full = self.deriva.put(blob).await;
        self.faults.clear();
        assert_eq!(full.map_err(|error| error.kind()), Err(ErrorKind::Full));
        let recipe = self.deriva.recipe("json.select", "1").input(packed);
        let broken = recipe.param("pointer", "/name").insert().await?;
        let slow = self.deriva.recipe("bench.burn", "1").input(packed);
        let slow = slow.param("units", 40).insert().await?;
        let late = self.deriva.materialize(slow).deadline(Duration::ZERO);
        assert!(self.deriva.get(broken).await.is_err() && late.await.is_err());
        let dropped = self.deriva.get(slow);
        let soon = Duration::from_millis(5);
        tokio::time::timeout(soon, dropped).await.ok();
        Ok(())
    }

    /// A function that gives something else each time. It was put into quarantine in the round before.
    pub(crate) async fn lie(&self, packed: CAddr) -> Result<()> {
        let liar = "bench.liar/1".parse()?;
        self.deriva.release_function(&liar).await?;
        let lie = self.deriva.recipe("bench.liar", "1").input(packed);
        let lie = lie.param("p", 1.0).insert().await?;
        let checked = self.deriva.materialize(lie);
        let caught = checked.determinism(Determinism::Dual).await;
        assert_eq!(
            caught.map_err(|error| error.kind()).err(),
            Some(ErrorKind::Nondeterministic)
        );
        Ok(())
    }

    /// What is lost is made again for a reader, what is damaged for a scrub.
    pub(crate) async fn heal(&self, packed: CAddr) -> Result<()> {
        let outputs = self.deriva.dag().outputs(&[packed]).await?;
        let Some(lost) = outputs[0] else {
            return Ok(());
        };
        self.deriva.blobs().remove(&[lost.addr]).await?;
        self.deriva.cache().remove(packed);
        self.deriva.get(packed).await?;
        self.damage(lost.addr)?;
        let scrubbed = self.deriva.scrub().await?;
        assert_eq!((scrubbed.corrupt, scrubbed.healed), (1, 1));
        // No recipe makes a leaf: it has to be put again. It is too long for a copy in the quick store.
        let text = "a letter of which there is one copy\n".repeat(200);
        let leaf = self.deriva.put(text.clone()).await?;
        self.damage(leaf)?;
        let damaged = self.deriva.get(leaf).await.map_err(|error| error.kind());
        assert_eq!(damaged, Err(ErrorKind::Corrupt));
        self.deriva.put(text.clone()).await?;
        assert_eq!(self.deriva.get(leaf).await?, text);
        self.deriva.cache().remove(leaf);
        Ok(())
    }

    /// What a disk does.
    fn damage(&self, addr: CAddr) -> Result<()> {
        let name = addr.to_string();
        let file = self.media.join(&name[..2]).join(&name);
        std::fs::remove_file(&file).map_err(Error::io)?;
        std::fs::write(&file, "rust").map_err(Error::io)
    }
}
