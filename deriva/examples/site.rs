//! A site from Markdown files. Every page shows the titles of all, and yet a change of one page's text makes that page
//! alone again; a change of its title, all. `cargo run -p deriva --example site`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use std::fs;
use std::path::Path;

use deriva::events::Summary;
use deriva::prelude::*;

type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn body(inputs: &[Bytes], _: &Params) -> Result<Bytes> {
    let (text, mut html) = (String::from_utf8_lossy(&inputs[0]), String::new());
    pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new(&text));
    Ok(html.into())
}

fn title(inputs: &[Bytes], _: &Params) -> Result<Bytes> {
    let text = String::from_utf8_lossy(&inputs[0]);
    let title = text.lines().find_map(|line| line.strip_prefix("# "));
    Ok(title.unwrap_or("untitled").to_owned().into())
}

fn menu(inputs: &[Bytes], _: &Params) -> Result<Bytes> {
    let titles = inputs.iter().map(|title| String::from_utf8_lossy(title));
    let entries = titles.map(|title| format!("<nav>{title}</nav>\n"));
    Ok(entries.collect::<String>().into())
}

fn page(inputs: &[Bytes], _: &Params) -> Result<Bytes> {
    let parts = [b"<!doctype html>\n", &inputs[0][..], &inputs[1]];
    Ok(parts.concat().into())
}

/// Makes a page of each file of a folder, and says what that took.
async fn build(deriva: &Deriva, from: &Path, to: &Path) -> Outcome<Summary> {
    let mut files: Vec<_> = fs::read_dir(from)?.collect::<std::io::Result<_>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let (mut bodies, mut titles, mut pages) = (Vec::new(), Vec::new(), Vec::new());
    for file in &files {
        let text = deriva.put(fs::read(file.path())?).await?;
        bodies.push(deriva.recipe("body", "1").input(text).insert().await?);
        titles.push(deriva.recipe("title", "1").input(text).insert().await?);
    }
    let menu = deriva.recipe("menu", "1").inputs(titles).insert().await?;
    for body in bodies {
        let page = deriva.recipe("page", "1").inputs([menu, body]);
        pages.push(page.insert().await?);
    }
    let summary = deriva.materialize_many(pages.clone()).await?.summary;
    for (file, page) in files.iter().zip(pages) {
        let name = Path::new(&file.file_name()).with_extension("html");
        fs::write(to.join(name), deriva.get(page).await?)?;
    }
    Ok(summary)
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let (from, to) = (folder.path().join("pages"), folder.path().join("site"));
    fs::create_dir(&from)?;
    fs::create_dir(&to)?;
    fs::write(from.join("boats.md"), "# Boats\n\nThey float.")?;
    fs::write(from.join("ships.md"), "# Ships\n\nThey float, *too*.")?;
    fs::write(from.join("wrecks.md"), "# Wrecks\n\nThey do not.")?;

    let store = format!("sled:{}", folder.path().join("store").display());
    let mut builder = Deriva::builder().store(&store).cutoff(Cutoff::Always);
    builder = builder.function("body", "1", body);
    builder = builder.function("title", "1", title);
    builder = builder.function("menu", "1", menu);
    let deriva = builder.function("page", "1", page).build().await?;

    // A body and a title of each, the menu, the pages.
    let first = build(&deriva, &from, &to).await?;
    assert_eq!((first.computed, first.cutoff), (10, 0));
    let ships = fs::read_to_string(to.join("ships.html"))?;
    assert!(ships.contains("<nav>Wrecks</nav>") && ships.contains("<em>too</em>"));

    // Other text, the same title: one body, one title, one page. The inputs of the menu came out as before, so it is not
    // computed, and neither are the pages in which nothing else has changed.
    fs::write(from.join("ships.md"), "# Ships\n\nThey *sail*.")?;
    let text = build(&deriva, &from, &to).await?;
    assert_eq!((text.computed, text.cutoff), (3, 3));
    assert!(fs::read_to_string(to.join("ships.html"))?.contains("<em>sail</em>"));

    fs::write(from.join("ships.md"), "# Tall ships\n\nThey *sail*.")?;
    let title = build(&deriva, &from, &to).await?;
    assert_eq!((title.computed, title.cutoff), (6, 0));
    assert_eq!(build(&deriva, &from, &to).await?.computed, 0);
    println!("computed: 10 at first, 3 for a text, 6 for a title, 0 for no change");
    Ok(())
}
