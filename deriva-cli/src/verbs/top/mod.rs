//! `deriva top`: what a running request or server does, on a terminal.
//!
//! | file | what is in it |
//! |---|---|
//! | `poll.rs` | asks for `/metrics` and `/activity` |
//! | `exposition.rs` | reads what `/metrics` answers |
//! | `model.rs` | from two answers to what is shown |
//! | `state.rs` | what is shown, and how: paused, sorted, scrolled |
//! | `keys.rs` | keys, and what they ask for |
//! | `view/` | draws the state into a buffer, and knows no terminal |
//! | `screen.rs` | the terminal, and the loop over answers, keys and signals |

mod exposition;
mod keys;
mod model;
mod poll;
mod screen;
mod state;
mod view;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueHint};
use deriva::{Clock, SystemClock};
use serde::Serialize;

use crate::exit::{Outcome, usage};
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style};
use model::Picture;
use poll::Source;
use state::State;
use view::Theme;

/// Columns and rows of a look that no terminal shows.
const PAGE: (u16, u16) = (100, 50);

/// Watch a running request or server: requests, rates, cache, memory, slowest functions, errors
///
/// `deriva run --metrics-listen 127.0.0.1:9464` and services serve what this shows. Press `?` for the keys.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// What to watch, as http://127.0.0.1:9464 or 127.0.0.1:9464; default: that of --server, where deriva://HOST:PORT
    /// stands for the port after it
    #[arg(value_hint = ValueHint::Url)]
    url: Option<String>,
    /// Seconds between two looks, 0.1 to 60
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// Look twice, one interval apart, print what that shows, and end; so it is with --json, too, and where stdout is no
    /// terminal
    #[arg(long)]
    once: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| (0.1..=60.0).contains(seconds));
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| "a number from 0.1 to 60 was expected".to_owned())
}

impl Top {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        let Some(url) = self.url.as_deref().or(store.server()) else {
            return Err(usage("what is to be watched was not named")
                .hint(
                    "give a URL, as in `deriva top http://127.0.0.1:9464`, or set DERIVA_SERVER; \
                     `deriva run FILE --metrics-listen 127.0.0.1:9464` can be watched",
                )
                .into());
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let source = Source::new(poll::base(url)?, Arc::clone(&clock));
        let mut state = State::new(source.url(), self.interval);
        // That nothing answers there is told at once.
        let first = source.look().await?;
        state.saw(Picture::of(source.url(), None, &first));
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_terminal = io::stdout().is_terminal();
        if !self.once && !out.json() && is_terminal && !is_dumb {
            let theme = Theme::new(Style::stdout().is_coloured());
            return screen::watch_until_quit(source, &*clock, state, first, theme).await;
        }
        clock.sleep(self.interval).await;
        // Where it ended meanwhile, the first look is what there is.
        if let Ok(now) = source.look().await {
            state.saw(Picture::of(source.url(), Some(&first), &now));
        }
        let size = match is_terminal {
            // The prompt needs a row.
            true => crossterm::terminal::size().map_or(PAGE, |(x, y)| (x, y.saturating_sub(1))),
            false => PAGE,
        };
        out.answer(&Look {
            text: view::text(&state, clock.now(), size),
            picture: state.picture,
        })
    }
}

/// What is shown once.
#[derive(Serialize)]
#[serde(transparent)]
struct Look {
    picture: Option<Picture>,
    #[serde(skip)]
    text: String,
}

impl Answer for Look {
    fn text(&self, _: Style) -> String {
        self.text.clone()
    }
}
