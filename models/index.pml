/* INDEX: two tables of cells and a root word (2.5), look-ups without a lock beside creates, replaces, unlinks, clean rebuilds, re-used descriptors; AL's owner killed before any store, the next one repairs and rebuilds.
   One chain of cells (every name hashes to cell 0: the worst case). X exists from the start and is only ever replaced; Y comes and goes.
   run: python3 models/run.py index          (errors: 0)
   Shown: X is never missed; a miss of Y only if Y was absent at some moment of the look-up; a hit has the right name, is alive and held; no look-up looks again twice unless a writer moved (nobody waits for a stopped or dead writer).
   -DOPS=n operations by each of the two writers, -DOPA=mask of operations (1 replace X, 2 create Y, 4 unlink Y, 8 rebuild, 16 reap of an `owner` Y)
   -DKILLS=n kills (the first writer, then the second, then a third only repairs), -DRX=n, -DRY=n readers of X, of Y
   MUT 1 a mismatch counts without a second look    15 a mismatch counts if the cell is the same again, st not asked    2 a miss is trusted without root    3 replace adds in the first tombstone and empties the old cell later    4 unlink empties a cell whose next cell is in use
       5 rebuild in place    6 root turned before the table is full    7 a hit on what has ended is a miss at once    8 the name is not compared again once held    9 next not cleared when a descriptor is freed
       10 reap of an `owner` tensor leaves its cell    12 after a death no rebuild of the index
       13 followed and not held is a miss if the cell still names the first descriptor    14 the same, if the cell names the followed one
       16 a descriptor with the right name that cannot be held is a miss at once, when cell, st and root are unchanged (the name was another generation's) */
#ifndef MUT
#define MUT 0
#endif
#ifndef OPS
#define OPS 2
#endif
#ifndef OPA
#define OPA 31
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef RX
#define RX 1
#endif
#ifndef RY
#define RY 1
#endif
#define NR (RX+RY)
#ifndef ND
#define ND 3
#endif
#define NC 3
#define FREE 0
#define ALLOC 1
#define NEXT 2
#define LIVE 3
#define DYING 4
#define X 1
#define Y 2
#define TB 9
#define TAB(w,i) tab[(w)*NC+(i)]
#define W (root&1)
byte st[ND], gen[ND], nm[ND], nx[ND], nxg[ND], pv[ND], pvg[ND], row[ND];       /* row[d]: bit r = reader r; the writers' own bits are left out: what they make is theirs in ALLOC and NEXT, nobody else may free it */
byte tab[2*NC], root, kills, turn; bool AL, dirty;
bool moved[NR], yabs[NR];                   /* ghosts: a writer stored something; Y was absent */
#define YLIVE ((nm[0]==Y&&st[0]==LIVE)||(nm[1]==Y&&st[1]==LIVE)||(nm[2]==Y&&st[2]==LIVE))
#if NR==1
#define SEEN moved[0]=1; if :: !YLIVE -> yabs[0]=1 :: else -> skip fi
#else
#define SEEN moved[0]=1; moved[1]=1; if :: !YLIVE -> yabs[0]=1; yabs[1]=1 :: else -> skip fi
#endif
#define K(x) if :: d_step{ x; SEEN } :: d_step{ kills<KILLS && me==turn -> kills++; if :: AL -> AL=0; dirty=1 :: else -> skip fi }; goto dying fi
#define PREVLIVE(d) (pv[d]!=0 && st[pv[d]-1]==LIVE && gen[pv[d]-1]==pvg[d])
/* under AL */
inline find(n){ d_step{ i=0; do :: i<NC && TAB(W,i)!=0 && !(TAB(W,i)!=TB && nm[TAB(W,i)-1]==n && st[TAB(W,i)-1]==LIVE) -> i++ :: else -> break od; if :: i<NC && TAB(W,i)==0 -> i=NC :: else -> skip fi } }
inline hole(){ d_step{ i=0; do :: i<NC && TAB(W,i)!=0 && TAB(W,i)!=TB -> i++ :: else -> break od } }
inline off(n){ find_dying(n);
  if :: i<NC ->
#if MUT==4
     K(TAB(W,i)=0)
#else
     if :: i+1<NC && TAB(W,i+1)!=0 ->
           K(TAB(W,i)=TB);
        :: else -> K(TAB(W,i)=0); do :: i>0 && TAB(W,i-1)==TB -> i--; K(TAB(W,i)=0) :: else -> break od fi
#endif
     :: else -> skip fi; i=0 }
inline find_dying(n){ d_step{ i=0; do :: i<NC && TAB(W,i)!=n+1 -> i++ :: else -> break od } }
/* free(d): the look with its veto is shown in compose.pml; here "no bit" and FREE are one step */
inline free_(q){ if :: d_step{ st[q]==DYING && row[q]==0 } -> K(if :: st[q]==DYING && row[q]==0 -> st[q]=FREE; gen[q]++;
#if MUT!=9
     nx[q]=0; nxg[q]=0; pv[q]=0; pvg[q]=0;
#endif
     :: else -> skip fi) :: else -> skip fi }
inline sweep_(){ q=0; do :: q<ND -> free_(q); q++ :: else -> break od; q=0 }
inline fill(){
#if MUT==5
  w=W;
#else
  w=1-W;
#endif
#if MUT==6
  K(root=root+1);
#endif
  i=0; do :: i<NC -> K(TAB(w,i)=0); i++ :: else -> break od; i=0;
  q=0; do :: q<ND -> if :: st[q]==LIVE -> K(TAB(w,i)=q+1); i++ :: else -> skip fi; q++ :: else -> break od; q=0; i=0; 
#if MUT!=5 && MUT!=6
  K(root=root+1);
#endif
  w=0 }
inline repair(){
  if :: dirty ->
     q=0; do :: q<ND ->
        if :: st[q]==NEXT && PREVLIVE(q) -> K(nx[pv[q]-1]=0); K(st[q]=DYING)
           :: st[q]==NEXT && !PREVLIVE(q) -> K(st[q]=LIVE)
           :: else -> skip fi; q++ :: else -> break od; q=0;
#if MUT!=12
     fill();
#endif
     K(dirty=0)
     :: else -> skip fi }
inline lock(){ K(AL=1); repair() }
inline unlock(){ sweep_(); K(AL=0) }
inline pick(){ d_step{ n=0; do :: n<ND && st[n]!=FREE -> n++ :: else -> break od } }
/* make name z; taken: replace */
inline create(z){
  lock(); pick();
  if :: n<ND -> K(st[n]=ALLOC); K(AL=0);
     K(nm[n]=z);
     lock(); find(z);
     if :: i==NC -> hole();
           if :: i==NC -> fill(); hole() :: else -> skip fi;
           K(TAB(W,i)=n+1); K(st[n]=LIVE)
        :: else -> o=TAB(W,i)-1;
           K(pv[n]=o+1; pvg[n]=gen[o]); K(st[n]=NEXT); K(nx[o]=n+1; nxg[o]=gen[n]);
           K(st[o]=DYING);
           K(st[n]=LIVE);
#if MUT==3
           c=i; hole(); if :: i<c -> K(TAB(W,i)=n+1); K(TAB(W,c)=TB) :: else -> i=c; K(TAB(W,i)=n+1) fi; c=0
#else
           K(TAB(W,i)=n+1)
#endif
     fi
     :: else -> skip fi;
  n=0; o=0; i=0; unlock() }
inline unlink_(z){ lock(); find(z);
  if :: i<NC -> o=TAB(W,i)-1; K(st[o]=DYING); off(o) :: else -> skip fi; o=0; i=0; unlock() }
/* the reaper of a dead `owner` maker: DYING and the cell, one section of AL */
inline reapowner(z){ lock(); find(z);
  if :: i<NC -> o=TAB(W,i)-1; K(st[o]=DYING);
#if MUT!=10
     off(o)
#endif
     :: else -> skip fi; o=0; i=0; unlock() }
inline ops(){
  do :: k<OPS -> k++;
     if
#if OPA&1
     :: create(X)
#endif
#if OPA&2
     :: create(Y)
#endif
#if OPA&4
     :: unlink_(Y)
#endif
#if OPA&8
     :: lock(); fill(); unlock()
#endif
#if OPA&16
     :: reapowner(Y)
#endif
     fi
     :: break od }
/* the reap of a dead creator's ALLOC */
inline reap_(){ lock(); q=0; do :: q<ND -> if :: st[q]==ALLOC -> K(st[q]=DYING) :: else -> skip fi; q++ :: else -> break od; q=0; unlock() }
#define VARS byte i,o,n,q,w,c,k
#define OVER d_step{ i=0;o=0;n=0;q=0;w=0;c=0;k=0 }
proctype Writer(byte me){ VARS; (turn==me);
  if :: kills>0 -> reap_() :: else -> skip fi;
  if :: me<2 -> ops() :: else -> skip fi;
dying: skip; OVER; d_step{ turn++ } }
/* look-up of z by reader r. A cell is passed only if cell and st (generation and state in one word) are the same after the look as before it. */
inline again_(){ d_step{ if :: moved[r] -> moved[r]=0; t=0 :: else -> t++ fi; assert(t<2) } }
proctype Reader(byte r; byte z){ byte i,d,c,v,s,g,f,fg,h,t,m; bool held;
  d_step{ yabs[r]=!YLIVE; moved[r]=0 };
look: v=root; i=0;
cell: if :: i==NC -> goto miss :: else -> skip fi;
  c=TAB(v&1,i);
  if :: c==0 -> goto miss :: c==TB -> i++; goto cell :: else -> skip fi;
  d=c-1; d_step{ s=st[d]; g=gen[d] };
  m=nm[d];                                                                   /* a race: nobody holds d yet */
  if :: m!=z -> goto pass :: else -> skip fi;
  fg=255;
follow: row[d]=row[d]|(1<<r);                                                 /* A1 */
  d_step{ s=st[d]; g=gen[d]; f=0; h=0 }; held=0;                              /* A2 to A4: nobody asks here */
  if :: fg!=255 && fg!=g -> skip
     :: else -> if :: s==LIVE -> held=1
                   :: s==NEXT -> if :: PREVLIVE(d) -> skip :: else -> d_step{ if :: gen[d]==g && (st[d]==NEXT||st[d]==LIVE||st[d]==DYING) -> held=1 :: else -> skip fi } fi
                   :: s==DYING -> d_step{ f=nx[d]; h=nxg[d] }
                   :: else -> skip fi fi;
#if MUT!=8
  if :: held && nm[d]!=z -> held=0; row[d]=row[d]&(255-(1<<r)); again_(); goto look :: else -> skip fi;           /* A5: another name */
#endif
  if :: held -> d_step{ assert(st[d]!=FREE && st[d]!=ALLOC && gen[d]==g && nm[d]==z) }; row[d]=row[d]&(255-(1<<r)); goto done :: else -> skip fi;
  row[d]=row[d]&(255-(1<<r));
  if :: f!=0 -> d=f-1; fg=h; goto follow :: else -> skip fi;
#if MUT==7
  goto gone;
#elif MUT==13
  if :: (TAB(v&1,i)==c && st[d]==s && gen[d]==g && s!=LIVE) && root==v -> goto gone :: else -> again_(); goto look fi;
#elif MUT==14
  if :: (TAB(v&1,i)==d+1 && st[d]==s && gen[d]==g && s!=LIVE) && root==v -> goto gone :: else -> again_(); goto look fi;
#elif MUT==16
  if :: fg==255 && (TAB(v&1,i)==c && st[d]==s && gen[d]==g && s!=LIVE) && root==v -> goto gone :: else -> again_(); goto look fi;
#endif
  if :: fg!=255 -> again_(); goto look :: else -> skip fi;                    /* followed and not held: somebody moved */
pass: skip;
#if MUT!=1
  if :: TAB(v&1,i)!=c -> again_(); goto cell :: else -> skip fi;
#if MUT!=15
  if :: d_step{ st[d]!=s || gen[d]!=g } -> again_(); goto cell :: else -> skip fi;
#endif
#endif
  i++; goto cell;
miss: skip;
#if MUT!=2
  if :: root!=v -> again_(); goto look :: else -> skip fi;
#endif
gone: skip; d_step{ assert(z!=X); assert(yabs[r]) };
done: skip; d_step{ i=0;d=0;c=0;v=0;s=0;g=0;f=0;fg=0;h=0;t=0;m=0;held=0; moved[r]=0; yabs[r]=0 } }
init { d_step{ st[0]=LIVE; nm[0]=X; 
#ifdef YFIRST
  st[1]=LIVE; nm[1]=Y; tab[0]=2; tab[1]=1;                                   /* Y before X in the chain */
#else
  tab[0]=1;
#endif
  };
  atomic{ run Writer(0); run Writer(1);
#if KILLS>1
  run Writer(2);
#endif
#if RX>0
  run Reader(0,X);
#endif
#if RX>1
  run Reader(1,X);
#endif
#if RY>0
  run Reader(RX,Y);
#endif
#if RY>1
  run Reader(RX+1,Y);
#endif
  } }
