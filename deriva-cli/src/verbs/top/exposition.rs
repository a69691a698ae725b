//! What `/metrics` answers, read back: Prometheus's text format, as much of it as rates need.

use std::collections::BTreeMap;

/// Samples by name. What cannot be read is left out: a view of numbers shows those that are there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Exposition(BTreeMap<String, Vec<Sample>>);

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    fn label(&self, name: &str) -> &str {
        let label = self.labels.iter().find(|(label, _)| label == name);
        label.map_or("", |(_, value)| value)
    }
}

impl Exposition {
    /// Reads a text.
    pub(super) fn parse(text: &str) -> Self {
        let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        for (name, sample) in text.lines().filter_map(line) {
            samples.entry(name.to_owned()).or_default().push(sample);
        }
        Self(samples)
    }

    /// Whether there is a sample of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All samples of this name, added up; nothing where there are none.
    pub(super) fn sum(&self, name: &str) -> Option<f64> {
        let samples = self.0.get(name)?;
        Some(samples.iter().map(|sample| sample.value).sum())
    }

    /// The samples of this name, added up for each value of a label.
    pub(super) fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.of(name) {
            *sums.entry(sample.label(label).to_owned()).or_default() += sample.value;
        }
        sums
    }

    /// The value of a label of the first sample of this name.
    pub(super) fn label(&self, name: &str, label: &str) -> Option<&str> {
        self.0.get(name)?.first().map(|sample| sample.label(label))
    }

    /// The histograms of this name, added up for each combination of values of labels.
    pub(super) fn histograms(
        &self,
        name: &str,
        labels: &[&str],
    ) -> BTreeMap<Vec<String>, Histogram> {
        let mut histograms: BTreeMap<Vec<String>, Histogram> = BTreeMap::new();
        for sample in self.of(&format!("{name}_bucket")) {
            let Some(bound) = bound(sample.label("le")) else {
                continue;
            };
            let histogram = histograms.entry(key(sample, labels)).or_default();
            histogram.add_bucket(bound, sample.value);
        }
        for sample in self.of(&format!("{name}_sum")) {
            histograms.entry(key(sample, labels)).or_default().sum += sample.value;
        }
        for sample in self.of(&format!("{name}_count")) {
            histograms.entry(key(sample, labels)).or_default().count += sample.value;
        }
        histograms
    }

    /// The samples of this name, added up for each combination of values of labels; without those where one label has
    /// this value.
    pub(super) fn grouped(
        &self,
        name: &str,
        labels: &[&str],
        without: Option<(&str, &str)>,
    ) -> BTreeMap<Vec<String>, f64> {
        let mut sums = BTreeMap::new();
        let is_out =
            |sample: &&Sample| without.is_some_and(|(label, value)| sample.label(label) == value);
        for sample in self.of(name).filter(|sample| !is_out(sample)) {
            *sums.entry(key(sample, labels)).or_default() += sample.value;
        }
        sums
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.0.get(name).into_iter().flatten()
    }
}

/// A distribution: how many values are at most as large as each bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Histogram {
    /// Bounds, from the smallest, with the numbers up to each.
    buckets: Vec<(f64, f64)>,
    pub(super) sum: f64,
    pub(super) count: f64,
}

impl Histogram {
    fn add_bucket(&mut self, bound: f64, count: f64) {
        let at = self.buckets.partition_point(|(other, _)| *other < bound);
        match self.buckets.get_mut(at) {
            Some((other, sum)) if *other == bound => *sum += count,
            _ => self.buckets.insert(at, (bound, count)),
        }
    }

    /// What was added since `before`; all of it where something went back, as the process began anew.
    pub(super) fn since(&self, before: &Self) -> Self {
        if self.count < before.count || self.buckets.len() != before.buckets.len() {
            return self.clone();
        }
        let buckets = self.buckets.iter().zip(&before.buckets);
        let less = |(now, before): (&(f64, f64), &(f64, f64))| (now.0, (now.1 - before.1).max(0.0));
        Self {
            buckets: buckets.map(less).collect(),
            sum: (self.sum - before.sum).max(0.0),
            count: self.count - before.count,
        }
    }

    /// The mean of all values.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }

    /// What a share of all values is at most as large as, as Prometheus's `histogram_quantile` tells it: within a bucket
    /// values are taken to lie evenly, and beyond the last bound nothing is known.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.buckets.last()?.1;
        if total <= 0.0 {
            return None;
        }
        let rank = share * total;
        let at = self.buckets.iter().position(|(_, count)| *count >= rank)?;
        let (bound, count) = self.buckets[at];
        let (from, before) = match at.checked_sub(1) {
            Some(previous) => self.buckets[previous],
            None => (0.0, 0.0),
        };
        if bound.is_infinite() {
            return Some(from);
        }
        let within = match count > before {
            true => (rank - before) / (count - before),
            false => 1.0,
        };
        Some(from + (bound - from) * within)
    }
}

/// The values of labels.
fn key(sample: &Sample, labels: &[&str]) -> Vec<String> {
    let values = labels.iter().map(|label| sample.label(label).to_owned());
    values.collect()
}

fn bound(text: &str) -> Option<f64> {
    text.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

/// A sample of a line; nothing for comments, and for what is none.
fn line(line: &str) -> Option<(&str, Sample)> {
    let line = line.trim();
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with('#') {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    // A time may follow.
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    let sample = Sample { labels, value };
    value.is_finite().then_some((name, sample))
}

/// The labels up to the closing brace, and what follows it.
fn labels(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once('=')?;
        let (value, after) = quoted_value(quoted.trim_start().strip_prefix('"')?)?;
        labels.push((name.trim().to_owned(), value));
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// A value up to its closing quote, and what follows it.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP a_total Some, with {braces="1"} 3
# TYPE a_total counter
a_total{result="ok",store="x"} 3
a_total{result="bad",store="x"} 1 1700000000000
a_total{ result = "ok" , store="a \"b\", c\\d=}" , } 4e1
plain 7.5
t_seconds_bucket{f="g/1",le="0.25"} 0
t_seconds_bucket{f="g/1",le="1"} 90
t_seconds_bucket{f="g/1",le="4"} 100
t_seconds_bucket{f="g/1",le="+Inf"} 100
t_seconds_sum{f="g/1"} 60
t_seconds_count{f="g/1"} 100
"#;

    #[test]
    fn samples_are_read_and_added_up() {
        let read = Exposition::parse(TEXT);
        assert_eq!(read.sum("a_total"), Some(44.0));
        assert_eq!(read.sum("plain"), Some(7.5));
        assert_eq!(read.sum("none"), None);
        let by = read.by("a_total", "store");
        assert_eq!((by["x"], by["a \"b\", c\\d=}"]), (4.0, 40.0));
        let bad = read.grouped("a_total", &["store"], Some(("result", "ok")));
        assert_eq!(bad[&vec!["x".to_owned()]], 1.0);
        assert_eq!(bad.len(), 1);
        assert_eq!(read.label("a_total", "result"), Some("ok"));
    }

    #[test]
    fn what_is_malformed_is_left_out() {
        for text in [
            "",
            "\u{0}",
            "{",
            "}",
            "a{",
            "a{}",
            "a{} x",
            "a{b} 1",
            "a{b=} 1",
            "a{b=\"} 1",
            "a{b=\"\\",
            "a{b=\"c\" d=\"e\"} 1",
            "a{b=\"c\"",
            "a{b=\"c\"}",
            "a NaN",
            "a +Inf",
            "a",
            "# a 1",
            "\u{e9}\u{2028}{\u{e9}=\"\u{e9}",
        ] {
            assert_eq!(Exposition::parse(text), Exposition::default(), "{text:?}");
        }
        let read = Exposition::parse("a{b=\"c\nx 1\r\ny{} 2\n");
        assert_eq!((read.sum("x"), read.sum("y")), (Some(1.0), Some(2.0)));
    }

    #[test]
    fn a_histogram_has_a_mean_and_quantiles() {
        let read = Exposition::parse(TEXT).histograms("t_seconds", &["f"]);
        let all = &read[&vec!["g/1".to_owned()]];
        assert_eq!(all.mean(), Some(0.6));
        // 90 between 0.25 and 1, ten between 1 and 4.
        assert_eq!(all.quantile(0.5), Some(0.25 + 0.75 * 50.0 / 90.0));
        assert_eq!(all.quantile(0.95), Some(2.5));
        assert_eq!(Histogram::default().quantile(0.99), None);
        let mut beyond = Histogram::default();
        beyond.add_bucket(f64::INFINITY, 5.0);
        beyond.add_bucket(1.0, 0.0);
        assert_eq!(
            beyond.quantile(0.99),
            Some(1.0),
            "at least as large as the last bound"
        );
    }

    #[test]
    fn what_went_back_began_anew() {
        let mut before = Histogram::default();
        before.add_bucket(1.0, 10.0);
        (before.sum, before.count) = (5.0, 10.0);
        let mut now = Histogram::default();
        now.add_bucket(1.0, 4.0);
        (now.sum, now.count) = (2.0, 4.0);
        assert_eq!(now.since(&before), now);
        let since = before.since(&now);
        assert_eq!((since.sum, since.count), (3.0, 6.0));
        assert_eq!(since.buckets, [(1.0, 6.0)]);
    }
}
