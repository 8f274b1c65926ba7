#!/bin/busybox sh
# The first process of the guest of `.ci/guest.sh`: sets up what udev would, runs the tests, and switches the machine off.
/bin/busybox mount -t proc none /proc
# The links lead to the program that /proc says is running.
/bin/busybox --install -s /bin
export PATH=/programs:/bin
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts none /dev/pts
mount -t tmpfs none /tmp
export HOME=/work
while read -r module; do
    case $module in
    # One camera and, as video1, an output.
    vivid.ko) insmod "/modules/$module" n_devs=1 node_types=0x101 ;;
    *) insmod "/modules/$module" ;;
    esac || echo "guest: $module does not load"
done </modules/order
# What udev names by path.
mkdir -p /dev/v4l/by-path
ln -s ../../video0 /dev/v4l/by-path/platform-vivid.0-video-index0
CAMERA=/dev/v4l/by-path/platform-vivid.0-video-index0
cd /work
if [ -e /shell ]; then
    sh
    poweroff -f
fi

failed=
# check NAME COMMAND...: says whether the command succeeded.
check() {
    name=$1
    shift
    if "$@"; then
        echo "guest: $name: ok"
    else
        echo "guest: $name: FAILED"
        failed=1
    fi
}
# refused WORDS COMMAND...: the command ends with 2 and one line on standard error that has these words.
refused() {
    words=$1
    shift
    "$@" >/dev/null 2>/tmp/refused
    code=$?
    cat /tmp/refused
    [ $code = 2 ] && [ "$(wc -l </tmp/refused)" = 1 ] && grep -q "$words" /tmp/refused
}

# The bridge's driver takes long to probe: its test runs beside the others.
i2c --ignored --nocapture --test-threads=1 >/tmp/i2c.log 2>&1 &
i2c_test=$!

check "cameras on vivid" vivid --ignored --nocapture --test-threads=1

if [ -x /programs/wink ]; then
    check "wink cameras" wink cameras --fps 25 --out /tmp/stills
    check "a still was saved" test -s /tmp/stills/platform-vivid.0-video-index0.png
    check "wink cameras --json" sh -c "wink cameras --device $CAMERA --fps 25 --json --out /tmp/stills >/tmp/cameras.json && grep -q '\"fps\"' /tmp/cameras.json"
    # The same frame with a comment in turn with the one without: pictures that never change are those of a frozen camera.
    (head -c 2 webcam-640x480.jpg && printf '\377\376\000\003A' && tail -c +3 webcam-640x480.jpg) >/tmp/other.jpg
    check "wink cameras --pipe" wink cameras --seconds 1 --out /tmp/stills \
        --pipe "while :; do cat /work/webcam-640x480.jpg; sleep 0.03; cat /tmp/other.jpg; sleep 0.03; done"
    wink cameras --device $CAMERA --fps 25 --seconds 15 --out /tmp/stills >/dev/null 2>&1 &
    holder=$!
    sleep 5
    check "a camera that is held" refused "is held by another program (wink, process $holder)" wink cameras --device $CAMERA --fps 25
    kill $holder
    wait $holder 2>/dev/null
    check "a format that it has not" refused "gives no mjpg" wink cameras --device $CAMERA --format mjpg
    check "a frozen camera" refused "frozen" wink cameras --seconds 2 --format yuyv --out /tmp/stills \
        --pipe "while :; do head -c 614400 /dev/zero; sleep 0.03; done"
    # The first hour with a fresh kit, whose servos are simulated behind a pseudo-terminal, then runs of a policy on it. The policy is
    # wired as models/wink-so101 and costs nothing: what is checked does not depend on how fast an emulated processor infers.
    export XDG_CONFIG_HOME=/tmp/config XDG_STATE_HOME=/tmp/state
    (head -c 2 webcam-64x48.jpg && printf '\377\376\000\003A' && tail -c +3 webcam-64x48.jpg) >/tmp/small.jpg
    cat >bench.toml <<END
format = 1
name = "guest"
rate_hz = 100
[serial]
port = "/work/devices/adapter"
baud = 1000000
answer_timeout_us = 20000
[cameras.front]
device = "$CAMERA"
width = 640
height = 480
fps = 25
[cameras.wrist]
pipe = "while :; do cat /work/webcam-64x48.jpg; sleep 0.05; cat /tmp/small.jpg; sleep 0.05; done"
format = "mjpg"
width = 64
height = 48
fps = 20
END
    cat first-hour.txt run.txt >/tmp/script.txt
    wink kit --fresh --link /work/devices/adapter --script /tmp/script.txt >/tmp/kit.log 2>&1
    code=$?
    cat /tmp/kit.log
    check "wink setup, then wink run with a fault of each kind" test $code = 0
    ticks=$(sed -n 's/.*"summary".*"ticks":\([0-9]*\).*/\1/p' /tmp/kit.log | head -n 1)
    check "200 ticks of wink run: ${ticks:-none}" test "${ticks:-0}" -ge 200
    check "torque is off after each run that could park" sh -c "! grep '^{.joints' /tmp/kit.log | grep -q '\"torque\":true'"
fi

wait $i2c_test
code=$?
cat /tmp/i2c.log
check "PCA9685 on /dev/i2c" test $code = 0

[ -n "$failed" ] || echo "guest: all passed"
# Waits until all is sent.
stty -echo <&1 2>/dev/null
sleep 1
poweroff -f
