/** The visitor's camera: asked for only when the visitor says so, and let go of when they leave it. */

const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };

/** What `getUserMedia` throws, by name, as a sentence that says what to do. */
const REASONS = new Map([
  [
    "NotAllowedError",
    "The camera was refused. To use it, allow the camera for this page in the browser's address bar and press " +
      "“Use camera” again. Photos work without it.",
  ],
  ["NotFoundError", "No camera was found. Connect one and press “Use camera” again, or choose a photo."],
  ["NotReadableError", "The camera is in use by another app. Close that app and press “Use camera” again."],
  ["OverconstrainedError", "This camera cannot be used. Try another one, or choose a photo."],
]);

const INSECURE =
  "Browsers give the camera only to pages on https and on localhost. Open this page there, or choose a photo.";

export class Camera {
  /** @type {MediaStream | undefined} */
  #stream;
  #facing = "user";
  #video;
  #onEnd;

  /**
   * @param {HTMLVideoElement} video shows the camera
   * @param {() => void} onEnd called when the camera goes away by itself
   */
  constructor(video, onEnd) {
    this.#video = video;
    this.#onEnd = onEnd;
  }

  get isOn() {
    return this.#stream !== undefined;
  }

  /** Whether the picture should be shown as in a mirror: a camera that looks at the visitor. */
  get isMirrored() {
    return this.#stream?.getVideoTracks()[0]?.getSettings().facingMode !== "environment";
  }

  /** Start the camera. Throws an Error that explains itself. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) throw new Error(INSECURE);
    try {
      const video = { ...WANTED, facingMode: this.#facing };
      this.#stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      throw new Error(REASONS.get(name) ?? `The camera did not start (${error}). Photos work without it.`);
    }
    this.#stream.getVideoTracks()[0].onended = () => this.#onEnd();
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = undefined;
    this.#video.srcObject = null;
  }

  /** From the front camera to the back one, or the other way round. */
  async turn() {
    this.#facing = this.#facing === "user" ? "environment" : "user";
    this.stop();
    await this.start();
  }

  /** Whether there is a second camera to turn to; known only while one is on. */
  async hasAnother() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind }) => kind === "videoinput").length > 1;
  }

  /**
   * The newest frame, each at most once; frames that nobody asked for in time are dropped, never queued.
   * @returns {AsyncGenerator<ImageBitmap, void>} ends when the camera is stopped
   */
  async *frames() {
    const stream = this.#stream;
    const shown = new FrameSignal(this.#video);
    while (this.#stream === stream && stream) {
      const hasFrame = await shown.next();
      if (this.#stream !== stream) return;
      if (hasFrame) yield await createImageBitmap(this.#video);
    }
  }
}

/** Says when a video shows a frame that was not asked about before. */
class FrameSignal {
  #isFresh = false;
  #wake = () => {};

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    const onFrame = () => {
      this.#isFresh = true;
      this.#wake();
      if (video.srcObject) schedule();
    };
    const schedule = () =>
      "requestVideoFrameCallback" in video ? video.requestVideoFrameCallback(onFrame) : requestAnimationFrame(onFrame);
    schedule();
  }

  /** @returns {Promise<boolean>} false when no frame came for a while: time to see whether the camera is still on */
  async next() {
    if (!this.#isFresh) {
      await new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
        setTimeout(resolve, 500);
      });
    }
    const wasFresh = this.#isFresh;
    this.#isFresh = false;
    return wasFresh;
  }
}
