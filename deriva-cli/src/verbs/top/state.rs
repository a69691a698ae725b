//! What is shown, and how: changed by answers and keys, read by the view.

use std::cmp::Ordering;
use std::time::Duration;

use super::keys::Command;
use super::model::{Picture, Row};

/// The tables, in the order of tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Functions,
    Stores,
    Requests,
    Incidents,
}

const TABLES: [Table; 4] = [
    Table::Functions,
    Table::Stores,
    Table::Requests,
    Table::Incidents,
];

/// By what the rows of functions and of stores are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Total,
    Calls,
    Mean,
    P99,
    Failures,
    Name,
}

/// An order of rows: the largest first, names from A; the other way round where that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: By,
    pub(super) reversed: bool,
}

/// An instance that does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// Since when, by the clock.
    pub(super) since: Duration,
    pub(super) why: String,
}

/// Times between two looks that `+` and `-` choose from, in milliseconds.
const INTERVALS: [u64; 9] = [100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

/// What is shown, and how.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) url: String,
    pub(super) picture: Option<Picture>,
    /// Time between two looks.
    pub(super) interval: Duration,
    pub(super) paused: bool,
    pub(super) lost: Option<Lost>,
    pub(super) help: bool,
    /// The table that keys are for.
    pub(super) table: Table,
    functions: Order,
    stores: Order,
    /// The first row that is shown, by table.
    scrolled: [usize; TABLES.len()],
}

impl By {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Total => "total time",
            Self::Calls => "calls in a second",
            Self::Mean => "mean time",
            Self::P99 => "99th percentile",
            Self::Failures => "failures",
            Self::Name => "name",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Total => Self::Calls,
            Self::Calls => Self::Mean,
            Self::Mean => Self::P99,
            Self::P99 => Self::Failures,
            Self::Failures => Self::Name,
            Self::Name => Self::Total,
        }
    }
}

impl Order {
    /// The rows in this order; equal ones by name.
    pub(super) fn sorted(self, rows: &[Row]) -> Vec<&Row> {
        let mut rows: Vec<&Row> = rows.iter().collect();
        rows.sort_by(|one, other| {
            let order = self.compare(one, other);
            let order = if self.reversed {
                order.reverse()
            } else {
                order
            };
            order.then_with(|| one.name.cmp(&other.name))
        });
        rows
    }

    fn compare(self, one: &Row, other: &Row) -> Ordering {
        let key: fn(&Row) -> Option<f64> = match self.by {
            By::Name => return one.name.cmp(&other.name),
            By::Total => |row| Some(row.total_seconds),
            By::Calls => |row| row.calls.per_second,
            By::Mean => |row| row.mean_seconds,
            By::P99 => |row| row.p99_seconds,
            By::Failures => |row| Some(row.failures),
        };
        let key = |row| key(row).unwrap_or(-1.0);
        key(other).total_cmp(&key(one))
    }
}

impl State {
    pub(super) fn new(url: &str, interval: Duration) -> Self {
        let order = Order {
            by: By::Total,
            reversed: false,
        };
        Self {
            url: url.to_owned(),
            picture: None,
            interval,
            paused: false,
            lost: None,
            help: false,
            table: Table::Functions,
            functions: order,
            stores: order,
            scrolled: [0; TABLES.len()],
        }
    }

    /// Takes in what was seen.
    pub(super) fn saw(&mut self, picture: Picture) {
        self.lost = None;
        if !self.paused {
            self.picture = Some(picture);
        }
    }

    /// Takes in that there was no answer. What was seen last stays.
    pub(super) fn missed(&mut self, now: Duration, why: String) {
        let since = self.lost.as_ref().map_or(now, |lost| lost.since);
        self.lost = Some(Lost { since, why });
    }

    /// The order of the rows of functions, or of stores.
    pub(super) fn order(&self, table: Table) -> Order {
        match table {
            Table::Stores => self.stores,
            _ => self.functions,
        }
    }

    /// The first row of a table that is shown, where as many as `room` fit.
    pub(super) fn first(&self, table: Table, room: usize) -> usize {
        let last = self.rows(table).saturating_sub(room);
        self.scrolled[table as usize].min(last)
    }

    /// Does what a key asks for, but for quitting.
    pub(super) fn apply(&mut self, command: Command) {
        match command {
            Command::Quit => {}
            Command::Pause => self.paused = !self.paused,
            Command::Help => self.help = !self.help,
            Command::NextTable => self.turn(1),
            Command::PreviousTable => self.turn(TABLES.len() - 1),
            Command::Sort => {
                let order = self.order_mut();
                order.by = order.by.next();
                self.scroll_to(0);
            }
            Command::Reverse => {
                let order = self.order_mut();
                order.reversed = !order.reversed;
                self.scroll_to(0);
            }
            Command::Scroll(rows) => {
                self.scroll_to(self.scrolled[self.table as usize].saturating_add_signed(rows));
            }
            Command::ToTop => self.scroll_to(0),
            Command::ToEnd => self.scroll_to(usize::MAX),
            Command::Longer => {
                let mut longer = INTERVALS.into_iter().map(Duration::from_millis);
                let longer = longer.find(|other| *other > self.interval);
                self.interval = longer.unwrap_or(self.interval);
            }
            Command::Shorter => {
                let mut shorter = INTERVALS.into_iter().map(Duration::from_millis).rev();
                let shorter = shorter.find(|other| *other < self.interval);
                self.interval = shorter.unwrap_or(self.interval);
            }
        }
    }

    /// Rows that a table has.
    pub(super) fn rows(&self, table: Table) -> usize {
        let Some(picture) = &self.picture else {
            return 0;
        };
        let activity = picture.activity.as_ref();
        match table {
            Table::Functions => picture.functions.len(),
            Table::Stores => picture.stores.len(),
            Table::Requests => activity.map_or(0, |told| told.requests.len()),
            Table::Incidents => activity.map_or(0, |told| told.incidents.len()),
        }
    }

    fn turn(&mut self, by: usize) {
        self.table = TABLES[(self.table as usize + by) % TABLES.len()];
    }

    fn order_mut(&mut self) -> &mut Order {
        match self.table {
            Table::Stores => &mut self.stores,
            _ => &mut self.functions,
        }
    }

    fn scroll_to(&mut self, row: usize) {
        let last = self.rows(self.table).saturating_sub(1);
        self.scrolled[self.table as usize] = row.min(last);
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::sample;
    use super::*;

    fn picture(calls: u64) -> Picture {
        Picture::of("u", Some(&sample(50, 0, 0)), &sample(50, calls, 1))
    }

    fn state() -> State {
        let mut state = State::new("u", Duration::from_secs(1));
        state.saw(picture(10));
        state
    }

    fn names(state: &State) -> Vec<String> {
        let functions = state.picture.as_ref().map(|it| &it.functions[..]);
        let rows = state.order(Table::Functions).sorted(functions.unwrap());
        rows.into_iter().map(|row| row.name.clone()).collect()
    }

    #[test]
    fn rows_are_sorted_by_each_column_in_turn_and_the_other_way_round() {
        let mut state = state();
        let mut seen = Vec::new();
        for _ in 0..6 {
            let by = state.order(Table::Functions).by.words();
            seen.push((by, names(&state).swap_remove(0)));
            state.apply(Command::Sort);
        }
        let seen: Vec<_> = seen.iter().map(|(by, name)| (*by, &**name)).collect();
        let expected = [
            ("total time", "f/1"),
            ("calls in a second", "f/1"),
            ("mean time", "f/1"),
            ("99th percentile", "f/1"),
            ("failures", "broken/1"),
            ("name", "broken/1"),
        ];
        assert_eq!(seen, expected);
        state.apply(Command::Reverse);
        assert_eq!(names(&state)[2], "f/1", "the largest last");
        let before = state.order(Table::Functions);
        state.apply(Command::NextTable);
        state.apply(Command::Sort);
        assert_eq!(state.order(Table::Functions), before);
        assert_eq!(state.order(Table::Stores).by, By::Calls);
    }

    #[test]
    fn a_pause_keeps_the_picture_and_a_lost_instance_too() {
        let mut state = state();
        state.apply(Command::Pause);
        state.saw(picture(20));
        assert_eq!(state.picture, Some(picture(10)));
        state.apply(Command::Pause);
        state.saw(picture(20));
        assert_eq!(state.picture, Some(picture(20)));
        state.missed(Duration::from_secs(5), "refused".to_owned());
        state.missed(Duration::from_secs(9), "reset".to_owned());
        let lost = state.lost.clone().unwrap();
        assert_eq!((lost.since.as_secs(), &*lost.why), (5, "reset"));
        assert!(state.picture.is_some());
        state.saw(picture(30));
        assert_eq!(state.lost, None);
    }

    #[test]
    fn keys_choose_tables_rows_and_intervals_and_stay_within_them() {
        let mut state = state();
        for _ in 0..10 {
            state.apply(Command::Scroll(1));
        }
        assert_eq!(
            state.first(Table::Functions, 1),
            2,
            "the last of three rows"
        );
        assert_eq!(state.first(Table::Functions, 3), 0, "all rows fit");
        state.apply(Command::Scroll(-1));
        assert_eq!(state.first(Table::Functions, 1), 1);
        state.apply(Command::ToEnd);
        state.apply(Command::Scroll(isize::MIN));
        assert_eq!(state.first(Table::Functions, 1), 0);
        state.apply(Command::PreviousTable);
        assert_eq!(state.table, Table::Incidents);
        state.apply(Command::Scroll(3));
        assert_eq!(state.first(Table::Incidents, 0), 0, "there are none");
        state.apply(Command::NextTable);
        assert_eq!(state.table, Table::Functions);
        for _ in 0..20 {
            state.apply(Command::Longer);
        }
        assert_eq!(state.interval.as_secs(), 60);
        state.interval = Duration::from_millis(700);
        state.apply(Command::Shorter);
        assert_eq!(state.interval.as_millis(), 500);
        for _ in 0..20 {
            state.apply(Command::Shorter);
        }
        assert_eq!(state.interval.as_millis(), 100);
        state.picture = None;
        state.apply(Command::Scroll(1));
        assert_eq!(state.first(Table::Functions, 0), 0);
    }
}
