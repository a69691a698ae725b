use std::error::Error as _;

use deriva_api::{ErrorKind, Params};

use super::{noise, one, refused, run, with};

const PAIRS: [(&str, &str); 2] = [
    ("compress.zstd", "compress.unzstd"),
    ("compress.gzip", "compress.gunzip"),
];

fn sample() -> Vec<u8> {
    let mut text: Vec<u8> = (0..2000)
        .flat_map(|i| format!("line {}\n", i % 97).into_bytes())
        .collect();
    text.extend(noise(3000, 1));
    text
}

#[test]
fn every_level_comes_back() {
    for (pack, unpack) in PAIRS {
        for level in [1, 6, 9] {
            for input in [sample(), vec![], vec![0xff]] {
                let packed = run(pack, &[&input], with("level", level)).unwrap();
                assert_eq!(run(unpack, &[packed], Params::new()).unwrap(), input);
            }
        }
        let packed = run(pack, &[sample()], Params::new()).unwrap();
        assert!(packed.len() < sample().len() / 2, "{}", packed.len());
    }
}

/// When this fails after an update of a compression library, results that were stored would differ
/// from new ones: give the function a new version instead of changing the test.
#[test]
fn compressed_bytes_never_change() {
    let calls = [
        ("compress.zstd", Params::new()),
        ("compress.zstd", with("level", 19)),
        ("compress.gzip", Params::new()),
        ("compress.gzip", with("level", 0)),
    ];
    let found = calls.map(|(name, params)| {
        let packed = run(name, &[sample()], params).unwrap();
        one("hash.sha256", packed, Params::new())
    });
    assert_eq!(
        found,
        [
            "a34930c7f656186c54fc9e4b408de8b8334e1236d1210f4c8625006ca3c58ead",
            "3b5de90f8acd9d2f43e09fcbf0551f4470d2417e229247d01bd07c23d7fcea5c",
            "ff1ca235c513432abf2643d1fa3e5d80fdc2c05060f171cfeadf754a666a3110",
            "3468b5c59cb4e4f2b51ce8342a4fa0fb25658d1249d01cc92299234fba94cbe8",
        ]
    );
    assert_eq!(
        one("compress.zstd", "", Params::new()),
        r"(\xb5/\xfd \x00\x01\x00\x00"
    );
    assert_eq!(
        one("compress.gzip", "", Params::new()),
        r"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    );
}

#[test]
fn members_and_frames_in_a_row_are_one_text() {
    for (pack, unpack) in PAIRS {
        let parts = ["one ", "two"].map(|part| run(pack, &[part], Params::new()).unwrap());
        assert_eq!(one(unpack, parts.concat(), Params::new()), "one two");
    }
}

#[test]
fn damaged_data_is_refused_with_its_cause() {
    for (pack, unpack) in PAIRS {
        let packed = run(pack, &[sample()], Params::new()).unwrap();
        let mut flipped = packed.to_vec();
        flipped[0] ^= 1;
        let trailing = [&packed, &b"garbage"[..]].concat();
        for bad in [
            &b""[..],
            b"no such format",
            &packed[..packed.len() / 2],
            &packed[..packed.len() - 1],
            &flipped,
            &trailing,
        ] {
            let error = refused(unpack, bad, Params::new());
            assert!(error.context("found").is_some() && error.context("position").is_some());
            // What does not even begin as it should was not given to the library.
            let did_begin = bad.starts_with(&packed[..4]) && bad.len() < packed.len();
            assert_eq!(error.source().is_some(), did_begin);
        }
    }
    let mut wrong_sum = run("compress.gzip", &["abc"], Params::new())
        .unwrap()
        .to_vec();
    let sum = wrong_sum.len() - 8;
    wrong_sum[sum] ^= 1;
    refused("compress.gunzip", wrong_sum, Params::new());
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    let zeros = vec![0_u8; 10_000_000];
    for (pack, unpack) in PAIRS {
        let bomb = run(pack, &[&zeros], Params::new()).unwrap();
        assert!(bomb.len() < 20_000);
        let error = refused(unpack, &bomb, with("limit", 9_999_999));
        assert_eq!(error.context("expected"), Some("at most 9999999 bytes"));
        assert_eq!(
            run(unpack, &[&bomb], with("limit", 10_000_000)).unwrap(),
            zeros
        );
        assert_eq!(
            refused(unpack, &bomb, with("limit", 0)).kind(),
            ErrorKind::Invalid
        );
        let error = refused(unpack, &bomb, with("limit", (1 << 30) + 1));
        assert_eq!(error.context("param"), Some("limit"));
    }
}

#[test]
fn levels_have_bounds() {
    for (name, low, high) in [("compress.zstd", 0, 20), ("compress.gzip", -1, 10)] {
        for level in [low, high] {
            let error = refused(name, "", with("level", level));
            assert_eq!(error.context("param"), Some("level"));
            assert_eq!(error.context("found"), Some(&*level.to_string()));
        }
    }
}

#[test]
fn zeros_after_the_last_member_are_padding_from_version_2_on() {
    let packed = run("compress.gzip", &["text"], Params::new()).unwrap();
    let padded = [&packed[..], &[0; 1000]].concat();
    assert_eq!(one("compress.gunzip/2", &padded, Params::new()), "text");
    assert_eq!(one("compress.gunzip/2", &packed, with("limit", 4)), "text");
    let error = refused("compress.gunzip", &padded, Params::new());
    assert_eq!(error.context("position"), Some(&*packed.len().to_string()));
    // Between members they are none, nor before the first.
    for bad in [
        [&padded[..], &packed].concat(),
        [&padded[..], b"\n"].concat(),
        vec![0; 1000],
    ] {
        refused("compress.gunzip/2", bad, Params::new());
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (pack, unpack, part) in [
        ("compress.gzip", "compress.gunzip", "member"),
        ("compress.gzip", "compress.gunzip/2", "member"),
        ("compress.zstd", "compress.unzstd", "frame"),
    ] {
        let packed = run(pack, &["text"], Params::new()).unwrap();
        let two = [&packed[..], &packed[..]].concat();
        let wrong = |input: &[u8]| {
            let error = refused(unpack, input, Params::new());
            let said = |key| error.context(key).unwrap_or_default().to_owned();
            (said(part), said("position"), said("found"))
        };
        let at = |len: usize| len.to_string();
        let newline = [&two[..], b"\n"].concat();
        assert_eq!(wrong(&newline), ("3".into(), at(two.len()), r"`\n`".into()));
        assert_eq!(wrong(b"text"), ("1".into(), at(0), "`text`".into()));
        assert_eq!(
            wrong(b""),
            ("1".into(), at(0), "the end of the input".into())
        );
        let (second, place, _) = wrong(&two[..two.len() - 1]);
        assert_eq!((second, place), ("2".into(), at(packed.len())));
    }
}

#[test]
fn frames_that_are_to_be_skipped_are() {
    let packed = run("compress.zstd", &["text"], Params::new()).unwrap();
    let skipped = b"\x51\x2a\x4d\x18\x03\0\0\0abc";
    let input = [&skipped[..], &packed, skipped, &packed].concat();
    assert_eq!(one("compress.unzstd", input, Params::new()), "texttext");
}
