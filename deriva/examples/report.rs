//! A report over CSV files, whose code changes: what counts otherwise gets a new version, and what comes before it is not
//! done again. `cargo run -p deriva --example report`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use deriva::events::Summary;
use deriva::prelude::*;

const NORTH: &str = "month,amount,note,state\nMay,10,,paid\nMay,5,late,cancelled\nJune,7,,paid\n";
const SOUTH: &str = "month,amount,note,state\nMay,3,,paid\nJune,4,,paid\n";

/// The sum of the amounts that `counts` takes, by their state.
fn total(records: &[u8], counts: impl Fn(&str) -> bool) -> Result<Bytes> {
    let wrong = || Error::new(ErrorKind::Invalid, "an amount and a state were expected");
    let mut sum = 0;
    for record in String::from_utf8_lossy(records).lines().skip(1) {
        let (amount, state) = record.split_once(',').ok_or_else(wrong)?;
        if counts(state) {
            sum += amount.parse::<u64>().map_err(|_| wrong())?;
        }
    }
    Ok(sum.to_string().into())
}

fn table(inputs: &[Bytes], _: &Params) -> Result<Bytes> {
    let totals = inputs.iter().map(|total| String::from_utf8_lossy(total));
    let rows = ["north", "south"].iter().zip(totals);
    let rows = rows.map(|(region, total)| format!("{region} {total:>4}\n"));
    Ok(rows.collect::<String>().into())
}

/// The report by one version of the code, and what it took to make it.
async fn report(deriva: &Deriva, version: &str) -> Result<(CAddr, Summary)> {
    let mut totals = Vec::new();
    for file in [NORTH, SOUTH] {
        let file = deriva.put(file).await?;
        let columns = vec![Value::from("amount"), Value::from("state")];
        let slim = deriva.recipe("csv.select", "2").input(file);
        let slim = slim.param("columns", columns).insert().await?;
        let total = deriva.recipe("total", version).input(slim);
        totals.push(total.insert().await?);
    }
    let table = deriva.recipe("table", "1").inputs(totals).insert().await?;
    Ok((table, deriva.materialize(table).await?.summary))
}

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(Error::io)?;
    let store = format!("redb:{}", folder.path().join("store").display());
    let builder = || {
        let builder = Deriva::builder()
            .store(&store)
            .function("table", "1", table);
        builder.function("total", "1", |inputs, _| total(&inputs[0], |_| true))
    };

    // The first program: two selections, two totals, a table.
    let deriva = builder().build().await?;
    let (before, summary) = report(&deriva, "1").await?;
    assert_eq!((summary.computed, summary.reused), (5, 0));
    assert_eq!(deriva.get(before).await?, "north   22\nsouth    7\n");
    drop(deriva);

    // It counted what was cancelled. The next program has another version of one function: what was selected is there,
    // the totals are counted, and the table is made anew.
    let builder = builder().function("total", "2", |inputs, _| {
        total(&inputs[0], |state| state != "cancelled")
    });
    let deriva = builder.build().await?;
    let (now, summary) = report(&deriva, "2").await?;
    assert_eq!((summary.computed, summary.reused), (3, 2));
    assert_eq!(deriva.get(now).await?, "north   17\nsouth    7\n");

    // What is different is known, and the first report is still there.
    let diff = deriva.diff(before, now).await?;
    println!("{:#?}", diff.differences[0].kind);
    assert_eq!(diff.differences.len(), 2);
    assert_eq!(report(&deriva, "1").await?.1.computed, 0);
    print!("{}", String::from_utf8_lossy(&deriva.get(now).await?));
    Ok(())
}
