//! What is on the screen, cell by cell.

use deriva::metrics::{ActiveRequest, ActivityReport, Incident};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::*;
use crate::verbs::top::keys::Command;
use crate::verbs::top::model::Picture;
use crate::verbs::top::model::tests::sample;

const NOW: Duration = Duration::from_secs(1000);

fn busy() -> State {
    let mut state = State::new("http://127.0.0.1:9464", Duration::from_secs(1));
    let (before, mut now) = (sample(500, 10, 0), sample(500, 30, 2));
    let told: &mut ActivityReport = now.activity.as_mut().unwrap();
    let mut request = ActiveRequest::default();
    (request.number, request.asked) = (7, 5);
    request.addresses = vec!["0123456789".to_owned()];
    request.phase = "computing".to_owned();
    (request.planned, request.done, request.failed) = (4000, 123, 2);
    request.began_millis = told.now_millis - 65_000;
    (told.active, told.requests) = (1, vec![request]);
    for n in 0..40u64 {
        let mut incident = Incident::default();
        incident.what = if n == 1 { "violation" } else { "error" }.to_owned();
        incident.kind = "function".to_owned();
        incident.function = Some("broken/1".to_owned());
        incident.message = format!("message {n}\u{1b}[2J");
        incident.at_millis = told.now_millis - 1000 * n;
        told.incidents.push(incident);
    }
    told.incidents_total = 140;
    state.saw(Picture::of(&state.url, Some(&before), &now));
    state
}

fn drawn(state: &State, size: (u16, u16), theme: Theme) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    let draw = |frame: &mut ratatui::Frame| super::draw(state, NOW, theme, frame.buffer_mut());
    terminal.draw(draw).unwrap();
    terminal.backend().clone()
}

fn shows(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn a_small_terminal_shows_what_matters_most() {
    let text = text(&busy(), NOW, (80, 24));
    assert_eq!(text.lines().count(), 24, "{text}");
    shows(
        &text,
        &[
            "deriva 9.8.7 at 127.0.0.1:9464  up 2s  sled:here",
            "every 1 s",
            "requests  2 active   10/s computed   0/s failed",
            "nodes     15/s computed   100/s reused   0/s failed   2 active of 4, 5 wanted",
            "cache     75.0 % of 40/s hit   saved 12.50 s   1.0 MiB of 2.0 MiB   7 blobs",
            "memory    [##########..........] 50.0 %   2.0 MiB of 4.0 MiB   spilled 1.0 KiB",
            "checks    6 agreed   2 violations   2 in the ledger",
            "    7 computing        123/4000      2   1m 5s       - 0123456789 and 4 more",
            "*functions by total time",
            "errors and violations, 140 in all",
            "message 0\\u{1b}[2J",
            "q quit  space pause",
        ],
    );
    let row = text.lines().find(|line| line.starts_with("f/1"));
    let words: Vec<&str> = row.unwrap().split_whitespace().collect();
    assert_eq!(
        words,
        [
            "f/1", "10/s", "500.00", "ms", "990.00", "ms", "15.00", "s", "30", "0"
        ]
    );
    assert!(!text.contains("blob_get"), "no room for stores");
}

#[test]
fn a_large_terminal_shows_everything() {
    for size in [(200, 50), (100, 50)] {
        let text = text(&busy(), NOW, size);
        shows(
            &text,
            &[
                "stored    11 blobs",
                "functions by total time",
                "stores by total time",
                "sled blob_get",
                "0123456789 and 4 more",
                "violation",
                "broken/1",
            ],
        );
        assert_eq!(text.lines().count(), 50, "{text}");
    }
}

#[test]
fn the_stores_are_shown_on_a_small_terminal_when_they_are_chosen() {
    let mut state = busy();
    state.apply(Command::NextTable);
    state.apply(Command::Sort);
    let text = text(&state, NOW, (80, 24));
    shows(&text, &["*stores by calls in a second", "sled blob_get"]);
    assert!(!text.contains("functions by"), "{text}");
}

#[test]
fn tables_scroll_to_their_last_row() {
    let mut state = busy();
    state.apply(Command::PreviousTable);
    state.apply(Command::Scroll(1));
    let once = text(&state, NOW, (80, 24));
    assert!(
        once.contains("message 1\\") && !once.contains("message 0\\"),
        "{once}"
    );
    state.apply(Command::ToEnd);
    let end = text(&state, NOW, (80, 24));
    shows(&end, &["message 39\\", "of 40)"]);
}

#[test]
fn every_size_is_drawn_whatever_there_is_to_show() {
    let mut lost = busy();
    lost.missed(Duration::from_secs(900), "connection\nrefused".to_owned());
    lost.apply(Command::Help);
    let mut untold = busy();
    untold.picture.as_mut().unwrap().activity = None;
    let nothing = State::new("http://[::1]:1", Duration::from_millis(100));
    for state in [&lost, &untold, &nothing] {
        for width in [0, 1, 2, 59, 60, 61, 80, 139, 140, 200, 400] {
            for height in [0, 1, 15, 16, 17, 24, 35, 36, 50, 120] {
                text(state, NOW, (width, height));
            }
        }
    }
    shows(
        &text(&busy(), NOW, (59, 40)).replace('\n', " "),
        &["too small: 60 columns and 16 rows", "59 and 40"],
    );
    shows(
        &text(&lost, NOW, (80, 24)),
        &[
            "no answer for 1m 40s: connection\\nrefused; trying again",
            "f/1",
            "keys",
        ],
    );
    shows(&text(&untold, NOW, (80, 24)), &[tables_not_told()]);
    shows(
        &text(&nothing, NOW, (80, 24)),
        &["waiting for the first answer"],
    );
}

fn tables_not_told() -> &'static str {
    "not told: nothing is served at /activity"
}

#[test]
fn the_help_and_a_pause_are_shown() {
    let mut state = busy();
    state.apply(Command::Help);
    state.apply(Command::Pause);
    let shown = text(&state, NOW, (80, 24));
    shows(
        &shown,
        &["PAUSED", "sort the table by its next column", "shift-tab"],
    );
    for (keys, what) in HELP {
        shows(&shown, &[keys, what]);
    }
}

#[test]
fn colours_are_used_where_they_may_be() {
    let coloured = drawn(&busy(), (80, 24), Theme::new(true));
    let plain = drawn(&busy(), (80, 24), Theme::plain());
    let has_colour = |backend: &TestBackend| {
        let cells = &backend.buffer().content;
        cells
            .iter()
            .any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(has_colour(&coloured) && !has_colour(&plain));
    let symbols = |backend: &TestBackend| -> String {
        let cells = &backend.buffer().content;
        cells.iter().map(|cell| cell.symbol()).collect()
    };
    assert_eq!(symbols(&coloured), symbols(&plain));
}
