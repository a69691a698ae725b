//! The terminal: drawn when there is something new, and given back as it was on every way out.

use std::io;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use deriva::{Clock, Error, ErrorKind, Result};
use futures::StreamExt;
use ratatui::DefaultTerminal;
use tokio::sync::{mpsc, watch};

use super::keys::{Command, command};
use super::model::{Picture, Sample};
use super::poll::{Source, follow, why};
use super::state::State;
use super::view::{Theme, draw};
use crate::exit::{Failure, Outcome};
use crate::interrupt::interrupted;

/// How often the time since an instance was lost is drawn anew.
const TICK: Duration = Duration::from_secs(1);

/// Watches an instance until somebody quits.
///
/// # Errors
/// What the terminal says, and an interruption by a signal.
pub(super) async fn watch_until_quit(
    source: Source,
    clock: &dyn Clock,
    mut state: State,
    mut last: Sample,
    theme: Theme,
) -> Outcome {
    let url = source.url().to_owned();
    let (intervals, interval) = watch::channel(state.interval);
    let (sender, mut seen) = mpsc::channel(1);
    tokio::spawn(follow(source, interval, sender));
    let stopped = stopped();
    tokio::pin!(stopped);
    let mut tick = tokio::time::interval(TICK);
    let mut screen = Screen::begin()?;
    let mut keys = EventStream::new();
    loop {
        screen.draw(&state, clock.now(), theme)?;
        tokio::select! {
            look = seen.recv() => match look {
                Some(Ok(sample)) => {
                    state.saw(Picture::of(&url, Some(&last), &sample));
                    last = sample;
                }
                Some(Err(error)) => state.missed(clock.now(), why(&error)),
                None => {
                    let what = "nothing looks at the instance any more";
                    return Err(Error::new(ErrorKind::Internal, what).into());
                }
            },
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) => match command(key) {
                    Some(Command::Quit) => return Ok(()),
                    Some(command) => {
                        state.apply(command);
                        intervals.send_if_modified(|interval| {
                            std::mem::replace(interval, state.interval) != state.interval
                        });
                    }
                    None => {}
                },
                // A new size is drawn like anything new.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(unusable(error).into()),
                None => return Ok(()),
            },
            _ = tick.tick() => {}
            () = &mut stopped => return Err(Failure::Partly(ErrorKind::Cancelled)),
        }
    }
}

/// The terminal in raw mode, on its other screen; as it was once this is dropped, and where anything panics.
struct Screen(DefaultTerminal);

impl Screen {
    fn begin() -> Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                // It may have come half the way.
                let _ = ratatui::try_restore();
                Err(unusable(error))
            }
        }
    }

    fn draw(&mut self, state: &State, now: Duration, theme: Theme) -> Result<()> {
        let drawn = self
            .0
            .draw(|frame| draw(state, now, theme, frame.buffer_mut()));
        drawn.map(|_| ()).map_err(unusable)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = self.0.show_cursor();
        // After a panic that was done before its message, which to leave the other screen once more would write over.
        if !std::thread::panicking() {
            let _ = ratatui::try_restore();
        }
    }
}

fn unusable(source: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the terminal cannot be used")
        .caused_by(source)
        .hint("print one look with --once")
}

/// A signal asks for the end, or the terminal goes.
#[cfg(unix)]
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::hangup()) {
        Ok(mut gone) => tokio::select! {
            () = interrupted() => {}
            _ = gone.recv() => {}
        },
        Err(_) => interrupted().await,
    }
}

#[cfg(not(unix))]
async fn stopped() {
    interrupted().await;
}
