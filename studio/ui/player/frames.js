// Every frame of a clip as a picture in memory, so that any frame of any clip can be shown at once. A frame is found by
// seeking to its middle, which names one frame in every browser. "seeked" can come before the frame is on the video, and
// a picture taken then is of the frame before it: the callback for video frames says when it is there.
const PIXELS = 150e6; // of all frames of a player, about 600 MB; larger clips are kept smaller than they are
const HIDDEN_MS = 1000; // a hidden page presents no frames and is told of none; by then the seek is long over

class Frames {
  constructor(clip, scale) {
    Object.assign(this, { clip, scale, pictures: [], error: "", width: 0, height: 0 });
  }

  // The frame, or the nearest one before it that has been read.
  at(index) {
    while (index > 0 && !this.pictures[index]) index -= 1;
    return this.pictures[index];
  }

  async read(changed, signal) {
    const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, preload: "auto" });
    let address = "";
    try {
      if (!onDisk(this.clip.address)) {
        // From memory: seeking then asks the server for nothing.
        const answer = await fetch(this.clip.address, { signal });
        if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
        address = URL.createObjectURL(await answer.blob());
      }
      await happened(video, "loadeddata", () => (video.src = address || this.clip.address), signal);
      this.width = video.videoWidth;
      this.height = video.videoHeight;
      const size = { resizeWidth: Math.max(1, Math.round(this.width * this.scale(this))), resizeQuality: "high" };
      for (let index = 0; index < this.clip.frames; index += 1) {
        const moment = Math.min((index + 0.5) / this.clip.fps, video.duration - 1e-4);
        const frame = presented(video);
        await happened(video, "seeked", () => (video.currentTime = moment), signal);
        await frame;
        const picture = await createImageBitmap(video, size.resizeWidth < this.width ? size : {});
        if (signal.aborted) return picture.close();
        this.pictures[index] = picture;
        changed();
      }
    } catch (error) {
      if (signal.aborted) return;
      this.error = `This clip cannot be read: ${error.message || error}.`;
      changed();
    } finally {
      video.removeAttribute("src");
      video.load();
      if (address) URL.revokeObjectURL(address);
    }
  }

  close() {
    for (const picture of this.pictures) picture?.close();
    this.pictures = [];
  }
}

// A page opened from a disk may show the files beside it and may not fetch them.
const onDisk = (address) => new URL(address, document.baseURI).protocol === "file:";

// The next frame the video presents.
function presented(video) {
  if (!video.requestVideoFrameCallback) return Promise.resolve();
  return new Promise((resolve) => {
    video.requestVideoFrameCallback(resolve);
    setTimeout(resolve, HIDDEN_MS);
  });
}

// Start something and wait for the event that says it is done.
function happened(video, name, start, signal) {
  return new Promise((resolve, reject) => {
    const ended = new AbortController();
    const settle = (how) => (event) => {
      ended.abort();
      how(event);
    };
    const fail = settle(() => reject(new Error(video.error?.message || "stopped")));
    video.addEventListener(name, settle(resolve), { signal: ended.signal });
    video.addEventListener("error", fail, { signal: ended.signal });
    signal.addEventListener("abort", fail, { signal: ended.signal });
    start();
  });
}
