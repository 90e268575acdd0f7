"""What was found, as Markdown."""

import statistics

from works import BY_NAME


WAITS = ["median", "99 %", "99.9 %", "sent late (99 %)", "unanswered", "CPU µs/request"]


def report(found):
    """All tables, and where the figures are from."""
    rows = found["rows"]
    parts = [
        list(costs([row for row in rows if "cpu_us" in row and not BY_NAME[row["work"]].rate])),
        list(latencies([row for row in rows if BY_NAME[row["work"]].rate])),
        list(waits([row for row in rows if BY_NAME[row["work"]].limit])),
        list(memory([row for row in rows if "idle_kib" in row])),
        list(goals(found["goals"])),
        [f"- left out of {one['work']}: {one['gateway']}, because {one['why']}" for one in found["lost"]],
        [f"- {name}: {version}" for name, version in found["versions"].items()],
        [found["how"], *quiet(rows)],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def head(*names):
    """Of a table."""
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def costs(rows):
    """CPU by work and gateway."""
    if rows:
        yield head("work", "gateway", "CPU µs/request", "min–max", "ratio to HAProxy", "requests/s", "RSS MiB")
    for row in rows:
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else "–"
        span = f"{row['cpu_us_min']:.1f}–{row['cpu_us_max']:.1f}"
        yield (
            f"| {row['work']} | {row['gateway']} | {row['cpu_us']:.1f} | {span} "
            f"| {ratio} | {row['rps']:,.0f} | {row['rss_mib']:.0f} |"
        )


def latencies(rows):
    """At fixed rates."""
    if rows:
        yield head("at a fixed rate", "gateway", *WAITS)
    for row in rows:
        times = " | ".join(f"{row[name] / 1000:.2f} ms" for name in ["p50", "p99", "p999", "late"])
        yield (
            f"| {BY_NAME[row['work']].says} | {row['gateway']} | {times} "
            f"| {row['unanswered']:.0f} | {row['cpu_us']:.1f} |"
        )


def waits(rows):
    """What a limit adds to the wait, as wrk sees it with all its connections busy."""
    if rows:
        yield head("limit", "gateway", "median", "99 %")
    for row in rows:
        yield f"| {row['work']} | {row['gateway']} | {row['p50'] / 1000:.2f} ms | {row['p99'] / 1000:.2f} ms |"


def memory(rows):
    """Of idle connections."""
    if rows:
        yield head("idle connections", "gateway", "KiB each", "min–max", "RSS MiB with all of them")
    for row in rows:
        each = [one["idle_kib"] for one in row["rounds"] if one]
        yield (
            f"| {BY_NAME[row['work']].idle:,} | {row['gateway']} | {statistics.median(each):.1f} "
            f"| {min(each):.1f}–{max(each):.1f} | {row['rss_mib']:.0f} |"
        )


def quiet(rows):
    """Whether the machine was ours."""
    shares = [one["waited"] for row in rows for one in row["rounds"] if one and "waited" in one]
    if shares:
        share = f"{statistics.median(shares):.0%} of their turns (at worst {max(shares):.0%})"
        yield (
            f"Gateways waited for their core {share}. "
            "With more than a few percent the machine was not theirs, and figures are a first look at most."
        )


def goals(judged):
    """Measured beside what was asked for."""
    if judged:
        yield head("goal", "measured", "must", "stretch", "")
    for one in judged:
        yield f"| {one['goal']} | {one['measured']:.2f} | {one['must']:g} | {one['stretch']:g} | {one['verdict']} |"
