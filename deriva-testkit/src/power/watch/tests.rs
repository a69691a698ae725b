use super::*;

/// Calls on `/s`, with readable texts and paths in place of hexadecimal ones.
fn watch(lines: &[&str]) -> Result<Watch, String> {
    let mut watch = Watch::new(Path::new("/s"));
    watch.read(
        &lines
            .iter()
            .map(|line| hex(line) + "\n")
            .collect::<String>(),
    )?;
    Ok(watch)
}

fn hex(line: &str) -> String {
    let mut inside = false;
    let mut written = String::new();
    let marks = [("<unfinished", "{unfinished"), ("<...", "{...")];
    let line = line.replace("\\n", "\n");
    let hidden = marks
        .iter()
        .fold(line, |line, (mark, as_)| line.replace(mark, as_));
    for c in hidden.chars() {
        let opens = !inside && matches!(c, '"' | '<');
        let closes = inside && matches!(c, '"' | '>');
        match inside && !closes {
            true => written.push_str(&format!("\\x{:02x}", c as u32)),
            false => written.push(c),
        }
        inside = (inside || opens) && !closes;
    }
    marks
        .iter()
        .fold(written, |line, (mark, as_)| line.replace(as_, mark))
}

fn changes(watch: &Watch) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let name = |(name, node): &(Vec<u8>, Option<Node>)| match node {
        Some(node) => format!("{}={node}", text(name)),
        None => format!("-{}", text(name)),
    };
    let told = watch
        .timeline
        .changes
        .iter()
        .map(|change| match &change.what {
            What::Write { file, at, bytes } => format!("{file}@{at} {}", text(bytes)),
            What::Resize { file, len } => format!("{file}:{len}"),
            What::Names { folder, names } => {
                let names: Vec<String> = names.iter().map(name).collect();
                format!("{folder}/ {}", names.join(" "))
            }
        });
    told.collect()
}

const CREATE: &str = r#"1 openat(AT_FDCWD</>, "/s/a", O_RDWR|O_CREAT, 0600) = 3</s/a>"#;

#[test]
fn a_write_goes_where_its_opening_stands() {
    let lines = [
        CREATE,
        r#"1 write(3</s/a>, "abc", 3) = 3"#,
        r#"1 dup(3</s/a>) = 4</s/a>"#,
        r#"1 write(4</s/a>, "de", 2) = 1"#,
        r#"1 pwrite64(4</s/a>, "X", 1, 0) = 1"#,
        r#"1 writev(3</s/a>, [{iov_base="f", iov_len=1}, {iov_base="g", iov_len=1}], 2) = 2"#,
        r#"1 lseek(3</s/a>, 1, SEEK_SET) = 1"#,
        r#"1 read(4</s/a>, "b", 1) = 1"#,
        r#"1 write(3</s/a>, "C", 1) = 1"#,
        r#"1 openat(AT_FDCWD</>, "/s/a", O_WRONLY|O_APPEND) = 5</s/a>"#,
        r#"1 write(5</s/a>, "h", 1) = 1"#,
        r#"1 write(6</t/b>, "elsewhere", 9) = 9"#,
        r#"1 write(3<anon_inode:[eventfd]>, "elsewhere", 9) = 9"#,
        r#"1 write(3</s/a>, "failed", 6) = -1 ENOSPC (No space left)"#,
    ];
    let expected = [
        "0/ a=1", "1@0 abc", "1@3 d", "1@0 X", "1@4 fg", "1@2 C", "1@6 h",
    ];
    assert_eq!(changes(&watch(&lines).unwrap()), expected);
}

#[test]
fn lengths_change_as_they_are_asked_to() {
    let lines = [
        CREATE,
        "1 ftruncate(3</s/a>, 10) = 0",
        "1 fallocate(3</s/a>, 0, 0, 8) = 0",
        "1 fallocate(3</s/a>, FALLOC_FL_KEEP_SIZE, 0, 99) = 0",
        "1 fallocate(3</s/a>, 0, 4, 8) = 0",
        r#"1 openat(AT_FDCWD</>, "/s/a", O_WRONLY|O_CREAT|O_TRUNC, 0600) = 4</s/a>"#,
        r#"1 openat(AT_FDCWD</>, "/s/a", O_WRONLY|O_CREAT|O_TRUNC, 0600) = 4</s/a>"#,
    ];
    let seen = changes(&watch(&lines).unwrap());
    assert_eq!(seen, ["0/ a=1", "1:10", "1:12", "1:0"]);
}

#[test]
fn names_move_with_what_they_point_to() {
    let lines = [
        r#"1 mkdir("/s/d", 0777) = 0"#,
        CREATE,
        r#"1 rename("/s/a", "/s/b") = 0"#,
        r#"1 rename("/s/b", "/s/d/c") = 0"#,
        r#"1 write(3</s/d/c>, "x", 1) = 1"#,
        r#"1 linkat(AT_FDCWD</>, "/s/d/c", AT_FDCWD</>, "/s/e", 0) = 0"#,
        r#"1 unlinkat(AT_FDCWD</>, "/s/d/c", 0) = 0"#,
        r#"1 rename("/s/d", "/s/f") = 0"#,
        r#"1 openat(AT_FDCWD</>, "/s/f", O_RDONLY|O_DIRECTORY) = 4</s/f>"#,
        "1 fsync(4</s/f>) = 0",
        "1 fdatasync(3</s/e>) = 0",
    ];
    let watch = watch(&lines).unwrap();
    let expected = [
        "0/ d=1",
        "0/ a=2",
        "0/ b=2 -a",
        "1/ c=2",
        "0/ -b",
        "2@0 x",
        "0/ e=2",
        "1/ -c",
        "0/ f=1 -d",
    ];
    assert_eq!(changes(&watch), expected);
    let of: Vec<_> = watch
        .timeline
        .syncs
        .iter()
        .map(|sync| (sync.kind, sync.of))
        .collect();
    use crate::power::SyncKind::{Fdatasync, Folder};
    assert_eq!(of, [(Folder, Some(1)), (Fdatasync, Some(2))]);
}

#[test]
fn what_was_said_counts_from_when_it_was_being_said() {
    let lines = [
        r#"1 write(1</dev/null>, "ack 1\nack 2\n", 12 <unfinished ...>"#,
        CREATE,
        "1 <... write resumed>) = 12",
    ];
    let watch = watch(&lines).unwrap();
    let said: Vec<_> = watch
        .timeline
        .said
        .iter()
        .map(|said| (said.at, &*said.text))
        .collect();
    assert_eq!(said, [(0, "ack 1"), (0, "ack 2")]);
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    for line in [
        "1 mmap(NULL, 9, PROT_READ|PROT_WRITE, MAP_SHARED, 3</s/a>, 0) = 0x7f",
        "1 io_uring_setup(8, {flags=0}) = 5",
        "1 copy_file_range(9</t/b>, NULL, 3</s/a>, NULL, 10, 0) = 10",
        r#"1 symlink("x", "/s/l") = 0"#,
        r#"1 write(8</s/unknown>, "x", 1) = 1"#,
        r#"1 write(3</s/a>, "x"..., 100) = 100"#,
        r#"1 pwrite64(3</s/a>, "x", 1, 0) = ?"#,
        r#"1 rename("/t/x", "/s/a") = 0"#,
    ] {
        let name = line[2..].split('(').next().unwrap();
        let refused = watch(&[CREATE, line]).expect_err(line);
        assert!(refused.starts_with(name), "{refused}");
    }
    for line in [
        "1 mmap(NULL, 9, PROT_READ, MAP_SHARED, 3</s/a>, 0) = 0x7f",
        "1 mmap(NULL, 9, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3</s/a>, 0) = 0x7f",
        "1 io_uring_setup(8, {flags=0}) = -1 ENOSYS (x)",
        r#"1 symlink("x", "/t/l") = 0"#,
    ] {
        watch(&[CREATE, line]).expect(line);
    }
}
