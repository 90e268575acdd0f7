use prometheus::{
    TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

/// What a scrape is told to be: the text format, version 0.0.4.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// One metric, as [`super::names`] has it: the only way to make a family of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// As it is scraped.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// Names of its labels; their values come in the same order.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; a restart begins at zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// What a histogram has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Upper bounds, and how many are at most that.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// All of them together.
    pub sum: f64,
}

impl Name {
    /// The sample of a metric without labels.
    pub fn one(&self, value: f64) -> MetricFamily {
        self.each([([""; 0], value)])
    }

    /// A sample for each set of label values. None at all is fine.
    pub fn each<V: Into<String>, const N: usize>(
        &self,
        samples: impl IntoIterator<Item = ([V; N], f64)>,
    ) -> MetricFamily {
        self.family(samples.into_iter().map(|(values, value)| {
            let mut metric = Metric::from_label(self.pairs(values));
            if self.kind == Kind::Counter {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            metric
        }))
    }

    /// A histogram for each set of label values.
    pub fn histograms<V: Into<String>, const N: usize>(
        &self,
        samples: impl IntoIterator<Item = ([V; N], Seen)>,
    ) -> MetricFamily {
        self.family(samples.into_iter().map(|(values, seen)| {
            let mut histogram = Histogram::default();
            histogram.set_bucket(seen.buckets.into_iter().map(bucket).collect());
            histogram.set_sample_count(seen.count);
            histogram.set_sample_sum(seen.sum);
            let mut metric = Metric::from_label(self.pairs(values));
            metric.set_histogram(histogram);
            metric
        }))
    }

    fn family(&self, metrics: impl Iterator<Item = Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(match self.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(metrics.collect());
        family
    }

    fn pairs<V: Into<String>, const N: usize>(&self, values: [V; N]) -> Vec<LabelPair> {
        debug_assert_eq!(self.labels.len(), N, "{} has other labels", self.name);
        let pair = |(name, value): (&&str, V)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value.into());
            pair
        };
        self.labels.iter().zip(values).map(pair).collect()
    }
}

fn bucket((bound, below): (f64, u64)) -> Bucket {
    let mut bucket = Bucket::default();
    bucket.set_upper_bound(bound);
    bucket.set_cumulative_count(below);
    bucket
}

/// The text that is scraped. Families without samples are left out: the encoder takes them for an error.
pub fn exposition(mut families: Vec<MetricFamily>) -> String {
    families.retain(|family| !family.get_metric().is_empty());
    let mut text = String::new();
    if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
        log::error!("metrics: {error}");
    }
    text
}
